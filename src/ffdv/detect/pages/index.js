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
  const ranks = { fake: 0, "cannot tell": 1, real: 2, failed: 3 };
  const compared = {
    name: (a, b) => a.name.localeCompare(b.name),
    word: (a, b) => ranks[a.word] - ranks[b.word] || Number(b.p) - Number(a.p) || a.name.localeCompare(b.name),
  };
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const key = button.dataset.sort, cell = button.closest("th");
      const textual = key in compared;
      const up = cell.hasAttribute("aria-sort") ? cell.getAttribute("aria-sort") !== "ascending" : textual;
      for (const other of document.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compare = compared[key] || ((a, b) => Number(a[key]) - Number(b[key]));
      rows.sort((one, other) => {
        const a = one.dataset, b = other.dataset;
        if ((a[key] === "") !== (b[key] === "")) return a[key] === "" ? 1 : -1; // what was not judged comes last
        return (up ? 1 : -1) * compare(a, b);
      });
      body.append(...rows);
    });
  }
  filter.addEventListener("input", apply);
  for (const box of boxes) box.addEventListener("change", apply);
  addEventListener("pageshow", apply); // whoever comes back finds the fields as they were left
  apply();
})();
