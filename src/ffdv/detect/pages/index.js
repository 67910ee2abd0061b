"use strict";
(() => {
  const body = document.querySelector("#clips tbody"), rows = [...body.rows];
  const filter = document.getElementById("filter"), shown = document.getElementById("shown");
  const boxes = [...document.querySelectorAll("input[name=word]")];
  const apply = () => {
    const wanted = filter.value.trim().toLocaleLowerCase(), words = new Set(boxes.filter((b) => b.checked).map((b) => b.value));
    let count = 0;
    for (const row of rows) {
      row.hidden = !(words.has(row.dataset.word) && row.dataset.name.toLocaleLowerCase().includes(wanted));
      if (!row.hidden) count += 1;
    }
    shown.textContent = count + " / " + rows.length + " " + shown.dataset.word;
  };
  const number = (text) => (text === "" ? -1 : Number(text));
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const key = button.dataset.sort, cell = button.closest("th");
      const textual = key === "name" || key === "word";
      const up = cell.hasAttribute("aria-sort") ? cell.getAttribute("aria-sort") !== "ascending" : textual;
      for (const other of document.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compare = textual
        ? (a, b) => a.dataset[key].localeCompare(b.dataset[key])
        : (a, b) => number(a.dataset[key]) - number(b.dataset[key]);
      rows.sort((a, b) => (up ? 1 : -1) * compare(a, b));
      body.append(...rows);
    });
  }
  filter.addEventListener("input", apply);
  for (const box of boxes) box.addEventListener("change", apply);
  apply();
})();
