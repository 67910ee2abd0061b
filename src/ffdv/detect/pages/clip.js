"use strict";
(() => {
  const tracks = document.getElementById("tracks"), head = document.getElementById("head");
  const player = document.getElementById("player"), unplayable = document.getElementById("unplayable");
  const length = Number(tracks.dataset.length);
  let now = 0;
  const show = (seconds) => {
    now = Math.min(Math.max(seconds, 0), length);
    head.style.left = (100 * now / length) + "%";
    tracks.setAttribute("aria-valuenow", now.toFixed(1));
    tracks.setAttribute("aria-valuetext", now.toFixed(1) + " s");
  };
  const seek = (seconds) => {
    show(seconds);
    if (player) { try { player.currentTime = now; } catch { /* nothing is loaded */ } }
  };
  let dragging = false;
  const at = (event) => {
    const box = tracks.getBoundingClientRect();
    return length * (event.clientX - box.left) / box.width;
  };
  tracks.addEventListener("pointerdown", (event) => { dragging = true; seek(at(event)); });
  addEventListener("pointermove", (event) => { if (dragging) seek(at(event)); });
  addEventListener("pointerup", () => { dragging = false; });
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
    player.addEventListener("timeupdate", () => { if (!dragging) show(player.currentTime); });
    player.addEventListener("error", fail);
    if (player.error) fail();
  }
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details.printed")) one.open = true; });
  show(0);
})();
