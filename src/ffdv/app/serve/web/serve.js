"use strict";
(() => {
  const section = document.getElementById("clips"), list = document.getElementById("list"), spoken = document.getElementById("spoken");
  const drop = document.getElementById("drop"), chooser = document.getElementById("files"), heading = section.querySelector("h2");
  const words = JSON.parse(section.dataset.words), most = Number(section.dataset.most), lang = section.dataset.lang;
  const verdicts = JSON.parse(section.dataset.verdicts); // of each word its text, mark and tone, as pages have them
  const say = (code, values = {}) => words[code].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const percent = (p) => (p > 0.99 ? "> 99 %" : p < 0.01 ? "< 1 %" : Math.round(100 * p) + " %");
  const colon = lang === "zh" ? "：" : ": ", gap = lang === "zh" ? "" : " ";
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  const address = (key) => "v1/scans/" + key; // relative: the page may lie below a proxy's path
  const made = (tag, className, text = "") => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text; // never markup, whatever a clip is called
    return element;
  };

  // Clips whose result is not here yet, by key; all that are listed survive a reload of the page in this tab.
  const unfinished = new Map(), listed = new Map(), unsent = new Set();
  const store = "ffdv " + location.pathname; // several services may lie below one name
  const remember = () => {
    try { sessionStorage.setItem(store, JSON.stringify([...listed].map(([key, at]) => [key, at.name]))); } catch { /* private windows */ }
  };
  const remembered = () => {
    try { return JSON.parse(sessionStorage.getItem(store)) || []; } catch { return []; }
  };

  const row = (name) => {
    const at = { name, told: made("p", "told"), acts: made("span", "acts"), bar: document.createElement("progress"), wanted: true };
    at.item = made("li", "card");
    at.bar.max = 100;
    at.bar.setAttribute("aria-hidden", "true"); // the text says it
    at.item.append(made("span", "name", name), at.told, at.acts, at.bar);
    const button = made("button", "", say("remove"));
    button.type = "button";
    button.setAttribute("aria-label", say("remove") + colon + name);
    button.addEventListener("click", () => remove(at));
    at.acts.append(button);
    list.prepend(at.item);
    section.hidden = false;
    return at;
  };
  const tell = (at, text, className = "told") => {
    if (at.told.textContent !== text) at.told.textContent = text;
    at.told.className = className;
  };
  const conclude = (at, text, className) => { // and say it to those who do not see the list
    at.over = true;
    unfinished.delete(at.key);
    unsent.delete(at);
    at.bar.remove();
    tell(at, text, className);
    spoken.textContent = at.name + colon + text;
  };
  const fail = (at, text) => conclude(at, say("failed") + colon + text, "told unsure");

  const erased = async (key) => {
    try {
      const answer = await fetch(address(key), { method: "DELETE" });
      return answer.ok || answer.status === 404;
    } catch { return false; }
  };
  const remove = async (at) => {
    const handedIn = listed.has(at.key);
    at.wanted = false; // nothing of it is sent any more, whatever comes of the removal
    unfinished.delete(at.key);
    if (at.request) at.request.abort();
    if (handedIn && !(await erased(at.key))) {
      if (!at.over) { unfinished.set(at.key, at); follow(); }
      tell(at, say("not_removed"), "told unsure");
      return;
    }
    listed.delete(at.key);
    remember();
    at.acts.replaceChildren();
    conclude(at, say("removed"), "told soft");
    heading.focus();
    // Bytes may have arrived whose answer was lost.
    if (!handedIn && at.key) while (!(await erased(at.key))) await pause(5);
  };

  const show = (at, state) => {
    const result = state.result;
    if (result.status !== "ok") { fail(at, result.reason); return; }
    const chance = result.fake_probability === null ? "" : " · " + say("probability", { percent: percent(result.fake_probability) });
    const part = result.notes.filter((note) => note.code === "limited").map((note) => gap + note.text + ".").join("");
    const { text, mark, tone } = verdicts[result.verdict];
    conclude(at, mark + " " + text + chance + (part ? " ·" : "") + part, "told " + tone);
    const link = made("a", "", say("open"));
    link.href = address(at.key) + "/clips/page.html";
    link.target = "_blank";
    link.rel = "noopener";
    link.setAttribute("aria-label", say("open") + colon + at.name);
    at.acts.prepend(link);
  };

  // One request at a time asks for all clips: a browser keeps few connections, and players and uploads want them.
  let asking = false;
  const follow = async () => {
    if (asking) return;
    asking = true;
    while (unfinished.size) {
      const keys = [...unfinished.keys()].slice(0, 100);
      for (const key of keys) { const at = unfinished.get(key); unfinished.delete(key); unfinished.set(key, at); } // the others next time
      try {
        const answer = await fetch("v1/scans?" + keys.map((key) => "key=" + key).join("&"));
        if (!answer.ok) throw new Error(String(answer.status));
        const states = new Map((await answer.json()).map((state) => [state.key, state]));
        for (const key of keys) {
          const at = unfinished.get(key), state = states.get(key);
          if (!at) continue; // it is being removed
          if (!state) { listed.delete(key); remember(); fail(at, say("gone")); }
          else if (state.result !== null) show(at, state);
          else {
            at.bar.removeAttribute("value");
            tell(at, say(state.state === "running" ? "running" : state.ahead ? "waiting" : "next", { ahead: state.ahead }));
          }
        }
        await pause(1);
      } catch {
        for (const key of keys) if (unfinished.has(key)) tell(unfinished.get(key), say("lost"), "told unsure");
        await pause(3);
      }
    }
    asking = false;
  };

  const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const sent = (at, file) => new Promise((done) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of how much is sent
    at.request = request;
    request.open("PUT", address(encodeURIComponent(file.name)) + "?lang=" + lang + "&key=" + at.key);
    request.upload.addEventListener("progress", (event) => {
      at.bar.value = 100 * event.loaded / event.total;
      tell(at, say("sending", { share: Math.floor(at.bar.value) }));
    });
    for (const name of ["load", "error", "abort"]) request.addEventListener(name, () => { at.request = null; done(request); });
    request.send(file);
  });
  const told = (request) => {
    try { return JSON.parse(request.responseText).detail; } catch { return say("unreachable") + " (" + request.status + ")"; }
  };
  const readable = async (file) => {
    try { await file.slice(0, 1).arrayBuffer(); return true; } catch { return false; }
  };
  const room = async () => { // asked for before a clip is sent once more
    try {
      const answer = await fetch("v1/health"), health = await answer.json();
      return answer.ok && health.in_hand < health.most_in_hand;
    } catch { return false; }
  };

  // A clip has its key before it is sent: where the answer is lost, a second try finds the first, and removal reaches it.
  const send = async (at, file) => {
    at.key = newKey();
    for (let broken = 0; at.wanted;) {
      const request = await sent(at, file), status = request.status;
      if (!at.wanted) return;
      if (status >= 200 && status < 300) {
        unsent.delete(at);
        listed.set(at.key, at);
        unfinished.set(at.key, at);
        remember();
        follow();
        return;
      }
      if (status === 503 || (status === 507 && (broken += 1) < 5)) { // as many as it takes are in hand, or its disk is full for now
        tell(at, say("full"));
        do await pause(Number(request.getResponseHeader("Retry-After")) || 10); while (at.wanted && !(await room()));
      } else if (status === 0 && !(await readable(file))) fail(at, say("unreadable"));
      else if (status === 0 || status === 502 || status === 504) {
        tell(at, say("lost"), "told unsure");
        await pause(3);
        if (await room() && (broken += 1) > 4) fail(at, say("broken")); // others wait
      } else fail(at, told(request));
      if (at.over) return;
    }
  };

  let sending = Promise.resolve(); // one after another
  const take = (file, isFolder) => {
    const at = row(file.name);
    if (isFolder) fail(at, say("folder"));
    else if (file.size === 0) fail(at, say("empty"));
    else if (file.size > most) fail(at, say("too_large", { most: +(most / 1e6).toPrecision(6) }));
    else {
      tell(at, say("unsent"));
      unsent.add(at);
      sending = sending.then(() => send(at, file));
    }
  };
  chooser.addEventListener("change", () => { for (const file of chooser.files) take(file, false); chooser.value = ""; });
  for (const name of ["dragover", "dragenter"]) document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const entries = items.map((item) => [item.getAsFile(), item.webkitGetAsEntry ? item.webkitGetAsEntry() : null]);
    for (const [file, entry] of entries) if (file) take(file, entry !== null && entry.isDirectory);
  });

  addEventListener("beforeunload", (event) => { if (unsent.size) event.preventDefault(); }); // what is not sent yet would be lost

  for (const [key, name] of remembered()) {
    const at = row(name);
    at.key = key;
    listed.set(key, at);
    unfinished.set(key, at);
  }
  follow();
})();
