"use strict";
(() => {
  const section = document.getElementById("clips"), list = document.getElementById("list"), spoken = document.getElementById("spoken");
  const drop = document.getElementById("drop"), chooser = document.getElementById("files");
  const words = JSON.parse(section.dataset.words), most = Number(section.dataset.most), lang = section.dataset.lang;
  const tones = { fake: "fake", real: "real", "cannot tell": "unsure" };
  const marks = { fake: "▲", real: "●", "cannot tell": "◆" }; // shape as well as colour
  const say = (code, values = {}) => words[code].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const percent = (p) => (p > 0.99 ? "> 99 %" : p < 0.01 ? "< 1 %" : Math.round(100 * p) + " %");
  const made = (tag, className, text = "") => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text; // never markup, whatever a clip is called
    return element;
  };

  const row = (file) => {
    const item = made("li", "card"), told = made("p", "told"), acts = made("span", "acts"), bar = document.createElement("progress");
    bar.max = 100;
    bar.setAttribute("aria-hidden", "true"); // the text says it
    item.append(made("span", "name", file.name), told, acts, bar);
    list.prepend(item);
    section.hidden = false;
    return { name: file.name, item, told, acts, bar };
  };
  const colon = lang === "zh" ? "：" : ": ";
  const tell = (at, text, className = "told") => { at.told.textContent = text; at.told.className = className; };
  const conclude = (at, text, className) => { // and say it to those who do not see the list
    at.bar.remove();
    tell(at, text, className);
    spoken.textContent = at.name + colon + text;
  };
  const fail = (at, text) => conclude(at, say("failed") + colon + text, "told unsure");

  const offerRemoval = (at, state, begun) => {
    const button = made("button", "", say("remove"));
    button.type = "button";
    button.addEventListener("click", async () => {
      begun.abort();
      try { await fetch(state.url, { method: "DELETE" }); } catch { /* it is gone with the service */ }
      at.acts.replaceChildren();
      conclude(at, say("removed"), "told soft");
    });
    at.acts.append(button);
  };

  const show = (at, state) => {
    const result = state.result;
    if (result.status !== "ok") { fail(at, result.reason); return; }
    const chance = result.fake_probability === null ? "" : " · " + say("probability", { percent: percent(result.fake_probability) });
    conclude(at, marks[result.verdict] + " " + say(result.verdict) + chance, "told " + tones[result.verdict]);
    if (state.page) {
      const link = made("a", "", say("open"));
      link.href = state.page;
      link.target = "_blank";
      link.rel = "noopener";
      at.acts.prepend(link);
    }
  };

  const follow = async (at, first) => {
    let state = first;
    const begun = new AbortController();
    offerRemoval(at, state, begun);
    while (state.result === null) {
      at.bar.removeAttribute("value");
      tell(at, say(state.state === "waiting" ? "waiting" : "running", { ahead: state.ahead }));
      let answer;
      try {
        answer = await fetch(state.url + "?wait=" + (state.state === "waiting" ? 2 : 20), { signal: begun.signal });
      } catch {
        if (!begun.signal.aborted) fail(at, say("unreachable"));
        return;
      }
      const told = await answer.json();
      if (begun.signal.aborted) return;
      if (!answer.ok) { fail(at, told.detail); return; }
      state = told;
    }
    show(at, state);
  };

  const send = (file) => new Promise((done) => {
    const at = row(file);
    if (file.size > most) { fail(at, say("too_large", { most: Math.round(most / 1e6) })); done(); return; }
    const request = new XMLHttpRequest(); // fetch tells nothing of how much is sent
    request.open("PUT", "/v1/scans/" + encodeURIComponent(file.name) + "?lang=" + lang);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      at.bar.value = 100 * event.loaded / event.total;
      tell(at, say("sending", { share: Math.floor(at.bar.value) }));
    });
    request.addEventListener("load", () => {
      if (request.status < 300) follow(at, request.response);
      else fail(at, request.response ? request.response.detail : String(request.status));
      done();
    });
    request.addEventListener("error", () => { fail(at, say("unreachable")); done(); });
    request.send(file);
  });

  // One after another: the service takes as many as it can, and a page needs no more connections.
  let sending = Promise.resolve();
  const take = (files) => { for (const file of files) sending = sending.then(() => send(file)); };
  chooser.addEventListener("change", () => { take([...chooser.files]); chooser.value = ""; });
  for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take([...event.dataTransfer.files]); });
})();
