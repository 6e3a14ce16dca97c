"""The style sheet and the script of a run's page. No font, image or script comes from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #5c5c5c; --paper: #fff; --panel: #f6f6f4; --line: #d9d9d6;
  --right: #00734f; --wrong: #b34700; --link: #00599b; --false: #ffd9a8; --loose: #fff1a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e4; --soft: #a6a6a3; --paper: #181a1b; --panel: #222527;
  --line: #3c4043; --right: #5fd3a7; --wrong: #ffa25e; --link: #7cc0ff; --false: #7a3e00; --loose: #574c00; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.2rem 4rem; max-width: 78rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .6rem 0; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: .95rem; margin: 0 0 .4rem; }
p, li { max-width: 50rem; }
ul { padding-left: 1.2rem; }
a { color: var(--link); }
nav a { display: inline-block; margin-right: 1rem; padding: .2rem 0; }
.note, .facts, .head, #count { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .35rem .55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
  vertical-align: bottom; }
th { white-space: normal; min-width: 4.6rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0; position: sticky; left: 0; background: var(--paper); }
.figure img { display: block; width: 910px; max-width: 100%; min-width: 620px; background: #fff; border-radius: 6px; }
form { margin: 1rem 0 .4rem; }
fieldset { border: 0; padding: 0; margin: 0 0 .5rem; display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center; }
label { padding: .2rem 0; cursor: pointer; }
input[type=search] { font: inherit; padding: .35rem .6rem; width: 22rem; max-width: 100%; border: 1px solid var(--line);
  border-radius: 6px; background: var(--panel); color: inherit; }
button { font: inherit; padding: .5rem 1.2rem; border: 1px solid var(--line); border-radius: 6px; background: var(--panel);
  color: inherit; cursor: pointer; }
article { margin: 1rem 0; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: 8px; }
article[hidden], form[hidden], button[hidden] { display: none; }
article p { margin: .2rem 0 .5rem; max-width: none; }
.question { font-weight: 600; white-space: pre-wrap; }
.kind { padding: .1rem .5rem; border: 1px solid currentcolor; border-radius: 1rem; }
.right, .solved, .still_right { color: var(--right); }
.wrong, .broken, .still_wrong { color: var(--wrong); }
.sides { display: flex; gap: .8rem; }
.side { flex: 1 1 0; min-width: 0; padding: .6rem .8rem; background: var(--panel); border-radius: 6px; }
.side h3 span { font-weight: 400; }
pre { margin: 0 0 .5rem; font: .84rem/1.5 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap; max-height: 26rem;
  overflow: auto; }
mark { background: var(--false); color: inherit; border-radius: 3px; cursor: help; }
mark.loose { background: var(--loose); }
mark.open::after { content: " [" attr(title) "]"; font-style: italic; }
.flag { display: inline-block; margin: .1rem .3rem .1rem 0; padding: 0 .5rem; border: 1px solid var(--line); border-radius: 1rem;
  color: var(--wrong); }
@media (max-width: 50rem) { body { padding: .6rem .8rem 3rem; } .sides { flex-direction: column; } .side { flex: none; }
  td:first-child { white-space: normal; min-width: 6rem; } }
"""

# Shows the problems that fit the form, 20 at first; a mark that is touched says why.
SCRIPT = """
const form = document.getElementById("filters"), more = document.getElementById("more");
const articles = [...document.querySelectorAll("article")], texts = articles.map(a => a.textContent.toLowerCase());
let room = 20;
function show() {
  const words = form.words.value.trim().toLowerCase();
  let fitting = 0;
  articles.forEach((article, i) => {
    const fits = (!form.kind.value || article.dataset.kind === form.kind.value)
      && (!form.flag.checked || article.dataset.flagged === "yes") && texts[i].includes(words);
    article.hidden = !fits || ++fitting > room;
  });
  more.hidden = fitting <= room;
  document.getElementById("count").textContent = `${Math.min(fitting, room)} of ${fitting} shown`;
}
form.addEventListener("input", () => { room = 20; show(); });
form.addEventListener("submit", event => event.preventDefault());
more.addEventListener("click", () => { room += 20; show(); });
document.addEventListener("click", event => { if (event.target.tagName === "MARK") event.target.classList.toggle("open"); });
form.hidden = false;
form.reset();
show();
"""
