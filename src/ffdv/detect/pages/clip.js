"use strict";
(() => {
  const tracks = document.getElementById("tracks"), head = document.getElementById("head");
  const player = document.getElementById("player"), unplayable = document.getElementById("unplayable");
  const readout = document.getElementById("readout");
  const { second, unjudged, comma } = tracks.dataset;
  const length = Number(tracks.dataset.length), step = Number(tracks.dataset.step);
  const lanes = [...tracks.querySelectorAll(".lane")].map((lane) => [lane.dataset.name, lane.dataset.numbers.split("|")]);
  const begins = Number(tracks.dataset.zero);
  let zero = begins; // of the file's clock, which the player shows, where the lanes begin (live streams)
  const told = (seconds) => [
    seconds.toFixed(1) + " " + second,
    ...lanes.map(([name, numbers]) => name + " " + (numbers[Math.floor(seconds / step)] || unjudged)),
  ].join(comma);
  let now = 0;
  const show = (seconds) => {
    now = Math.min(Math.max(seconds, 0), length);
    head.style.left = (100 * now / length) + "%";
    // The player goes on where only a first part of the clip was looked at.
    readout.textContent = told(seconds > length + 1 ? seconds : Math.min(now, length - 0.001));
    tracks.setAttribute("aria-valuenow", now.toFixed(1));
    tracks.setAttribute("aria-valuetext", readout.textContent);
  };
  const seek = (seconds) => {
    show(seconds);
    if (player) { try { player.currentTime = zero + now; } catch { /* nothing is loaded */ } }
  };
  let drag = null; // the pointer that moves the playhead; a finger that only scrolls past moves nothing
  const at = (event) => {
    const box = tracks.getBoundingClientRect();
    return length * (event.clientX - box.left) / box.width;
  };
  const ours = (event) => drag !== null && event.pointerId === drag.id;
  tracks.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    drag = { id: event.pointerId, x: event.clientX, moves: event.pointerType !== "touch" };
    tracks.setPointerCapture(event.pointerId);
    if (drag.moves) seek(at(event));
  });
  tracks.addEventListener("pointermove", (event) => {
    if (!ours(event)) return;
    drag.moves ||= Math.abs(event.clientX - drag.x) > 10;
    if (drag.moves) seek(at(event));
  });
  tracks.addEventListener("pointerup", (event) => {
    if (!ours(event)) return;
    drag = null;
    seek(at(event));
  });
  for (const end of ["pointercancel", "lostpointercapture"]) tracks.addEventListener(end, (event) => { if (ours(event)) drag = null; });
  tracks.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (step) seek(now + step);
    else if (event.key === "Home") seek(0);
    else if (event.key === "End") seek(length);
    else if (event.key === " " && player) { if (player.paused) player.play().catch(() => {}); else player.pause(); }
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-seek]")) {
    button.addEventListener("click", () => {
      seek(Number(button.dataset.seek));
      (player || tracks).scrollIntoView({ block: "nearest", behavior: "smooth" });
      if (player) player.play().catch(() => {});
    });
  }
  if (player) {
    const fail = () => { unplayable.hidden = false; };
    const clock = () => { zero = player.duration <= begins ? 0 : begins; }; // some browsers count every file from 0
    player.addEventListener("durationchange", clock);
    clock();
    player.addEventListener("timeupdate", () => { if (drag === null || !drag.moves) show(player.currentTime - zero); });
    player.addEventListener("error", fail);
    if (player.error) fail();
  }
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details.printed")) one.open = true; });
  show(0);
})();
