"use strict";
// What the other two scripts share: the data, elements, and the view that is kept in the address behind "#".

const $ = id => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const runNamed = name => data.runs.find(run => run.name === name);

// An element; `inner` are nodes or texts, never HTML, so nothing that a model wrote can take effect.
function el(name, attributes, ...inner) {
  const svg = ["svg", "g", "path", "line", "text", "circle", "rect", "title"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...inner);
  return node;
}

function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
}

const controls = [...document.querySelectorAll("form [name]")];
const draws = [];  // functions that draw a section from its form

// Every control takes its value from the address, or its default; one that others depend on hears "restored" and fills them.
function restore() {
  const view = new URLSearchParams(location.hash.slice(1));
  for (const control of controls) {
    const wanted = view.getAll(control.name);
    if (["checkbox", "radio"].includes(control.type)) {
      control.checked = wanted.length ? wanted.includes(control.value) : control.defaultChecked;
    } else {
      control.value = wanted.length ? wanted[0] : control.defaultValue ?? "";
      if (control.selectedIndex === -1) control.selectedIndex = 0;
    }
    control.dispatchEvent(new Event("restored"));
  }
  for (const draw of draws) draw();
  if (view.has("at")) $(view.get("at"))?.scrollIntoView();
}

function remember(form) {
  const view = new URLSearchParams({ at: form.closest("section").id });
  for (const each of document.forms) {
    for (const [name, value] of new FormData(each)) if (value) view.append(name, value);
  }
  if (!view.has("runs")) view.append("runs", "");
  if (location.protocol !== "about:") history.replaceState(null, "", "#" + view);  // a frame in a notebook has no address
}

function onView(form, draw) {
  draws.push(draw);
  form.addEventListener("input", () => { draw(); remember(form); });
  form.addEventListener("submit", event => event.preventDefault());
}

addEventListener("hashchange", () => { if (location.hash.includes("=")) restore(); });
