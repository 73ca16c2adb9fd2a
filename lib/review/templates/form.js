"use strict";
// Answers in, a CSV file out; the file is what jobs/review.py and jobs/validation_set.py read.
const title = JSON.parse(document.body.dataset.title);
const columns = JSON.parse(document.body.dataset.columns);
const articles = [...document.querySelectorAll("article")];
const options = [...document.querySelectorAll("#categories option")];
const idOf = new Map(options.map((option) => [option.value, JSON.parse(option.dataset.cat)]));
const textOf = new Map([...idOf].map(([text, id]) => [id, text]));
const field = (article, part) => article.querySelector(`[data-part=${part}]`);
const typed = (article, part) => field(article, part).value.trim();
let unsaved = false;

// The id of what was chosen; a bare id may be typed too. Undefined: no such category.
function chosen(article) {
  const text = typed(article, "cat_id");
  return idOf.get(text) ?? (textOf.has(text) ? text : undefined);
}

// As lib/review/cells.py: an apostrophe before what a spreadsheet would run or rewrite.
function neutralised(text) {
  const cell = text.replace(/([;\t\r\n])('*)(?=[ "]*[=+\-@＝＋－＠])/g, "$1'$2");
  const risky = /^[\t\r\n]|^[\s\p{C}]*[=+\-@＝＋－＠]|^[0-9eE:./, -]+$/u.test(cell.replace(/^'+/, ""));
  return risky ? "'" + cell : cell;
}

function asCsv(rows) {
  const cell = (text) => '"' + neutralised(text).replaceAll('"', '""') + '"';
  return "\ufeff" + rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

function answers() {
  return articles.filter((article) => typed(article, "cat_id")).map((article) => ({
    sheet: title,
    product_id: JSON.parse(article.dataset.product),
    cat_id: chosen(article),
    remark: typed(article, "remark"),
  }));
}

function show() {
  let wrong = 0;
  for (const article of articles) {
    const bad = typed(article, "cat_id") !== "" && chosen(article) === undefined;
    article.querySelector(".problem").hidden = !bad;
    article.classList.toggle("done", typed(article, "cat_id") !== "" && !bad);
    wrong += bad;
  }
  const given = answers().length - wrong;
  const progress = `${given} of ${articles.length} answered` + (wrong ? `, ${wrong} with no such category` : "");
  document.getElementById("progress").textContent = progress;
  document.getElementById("save").disabled = wrong > 0 || given === 0;
}

// A browser may refuse to keep anything for a page opened from a file; then only the warning below helps.
function keep() {
  const kept = articles.map((article) => [typed(article, "cat_id"), typed(article, "remark")]);
  const named = articles.map((article, place) => [JSON.parse(article.dataset.product), kept[place]]);
  try {
    localStorage.setItem("catmatch " + title, JSON.stringify(named.filter(([, [cat, remark]]) => cat || remark)));
  } catch { /* nothing is kept */ }
}

function restore() {
  let kept = new Map();
  try {
    kept = new Map(JSON.parse(localStorage.getItem("catmatch " + title) ?? "[]"));
  } catch { /* nothing was kept */ }
  for (const article of articles) {
    const [cat, remark] = kept.get(JSON.parse(article.dataset.product)) ?? ["", ""];
    field(article, "cat_id").value = cat;
    field(article, "remark").value = remark;
  }
}

function save() {
  const rows = [columns, ...answers().map((answer) => columns.map((name) => answer[name]))];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asCsv(rows)], { type: "text/csv" }));
  link.download = title.replaceAll(" ", "-") + "-answers.csv";
  link.click();
  URL.revokeObjectURL(link.href);
  unsaved = false;
}

document.addEventListener("input", () => { unsaved = true; keep(); show(); });
document.addEventListener("click", (event) => {
  const choice = event.target.dataset.choose;
  if (choice === undefined) return;
  const id = JSON.parse(choice);
  field(event.target.closest("article"), "cat_id").value = textOf.get(id) ?? id;
  unsaved = true; keep(); show();
});
document.getElementById("save").addEventListener("click", save);
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
restore();
show();
