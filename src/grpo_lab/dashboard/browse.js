// The completions: those of the training by prompt, and those of the checkpoints side by side.

const AT_FIRST = 8;

// A list that shows what `find` gives for its form, some at first and more on demand. `find` returns what is on the page of the
// run, a sentence on how much of it fits, and functions that make the nodes.
function listOf(name, find) {
  const list = $(`${name}-list`), more = $(`${name}-more`);
  let nodes = [];
  const add = () => {
    const shown = list.children.length;
    list.append(...nodes.slice(shown, shown + AT_FIRST).map(make => make()));
    more.hidden = list.children.length >= nodes.length;
  };
  more.addEventListener("click", add);
  onView($(`${name}-form`), () => {
    const found = find($(`${name}-form`).elements);
    nodes = found.nodes;
    $(`${name}-told`).textContent = found.told;
    $(`${name}-count`).textContent = found.count;
    list.replaceChildren();
    add();
  });
}

const textOf = row => row.text.map(piece => typeof piece === "string" ? piece : piece[0]).join("");
const flagsOf = row => row.flags ?? [];
const verdictOf = row => row.right === true ? "right" : row.right === false ? "wrong" : "ungraded";
const hasFlag = (row, flag) => !flag || (flag === "cut" ? !!row.truncated : flag === "some" ? flagsOf(row).length > 0
  : flag === "none" ? !flagsOf(row).length : flagsOf(row).includes(flag));
const holds = (texts, words) => !words || texts.join("\n").toLowerCase().includes(words);
const times = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

function completion(row) {
  const pieces = row.text.map(piece => {
    if (typeof piece === "string") return piece;
    const [text, title, loose] = piece;
    return el("mark", { title, tabindex: 0, ...(loose ? { class: "loose" } : {}) }, text);
  });
  return el("pre", { tabindex: 0 }, ...pieces);
}

const paidFor = row => Object.entries(row.rewards).map(([name, value]) => `${name} ${value ?? "not graded"}`).join(" + ");

function card(row, label) {
  const facts = el("p", { class: "facts" }, row.answer === null ? "no answer found" : `answer ${row.answer}`);
  if (row.tokens !== null) facts.append(`, ${times(row.tokens, "token")}`);
  if (!row.formatted) facts.append(", not in the format");
  facts.append(" ");
  if (row.truncated) facts.append(el("span", { class: "flag" }, "cut off"));
  for (const flag of flagsOf(row)) facts.append(el("span", { class: "flag" }, `${flag} ${data.flags[flag] ?? ""}`.trim()));
  const verdict = verdictOf(row), word = el("span", { class: verdict }, verdict === "ungraded" ? "not graded" : verdict);
  const side = el("section", { class: "side" }, el("h3", {}, `${label} `, word), completion(row), facts);
  if ("reward" in row) side.append(el("p", { class: "facts" }, `reward ${row.reward ?? "unknown"} = ${paidFor(row)}`));
  return side;
}

// --- While training: a prompt with all of its completions ---------------------

function fillSteps() {
  const { run, step } = $("training-form").elements, steps = runNamed(run.value).training.groups.map(group => group.step);
  fillSelect(step, [["", "all"], ...[...new Set(steps)].map(each => [each, each])]);
}

function groupNode(group, fitting) {
  const { rows } = group, right = rows.filter(row => row.right).length, others = rows.filter(row => !fitting.includes(row));
  const mean = rows.reduce((sum, row) => sum + (row.reward ?? 0), 0) / rows.length;
  const cards = some => el("div", { class: "cards" }, ...some.map(row => card(row, `completion ${rows.indexOf(row) + 1}`)));
  const head = `step ${group.step} · prompt ${group.group + 1} · gold answer ${group.gold} · `
    + `${right} of ${times(rows.length, "completion")} right · mean reward ${+mean.toFixed(3)}`;
  const question = el("p", { class: "question" }, group.question);
  const node = el("article", {}, el("p", { class: "head" }, head), question, cards(fitting));
  if (others.length) {
    const rest = el("details", {}, el("summary", {}, `The ${times(others.length, "other completion")} of this prompt`));
    rest.addEventListener("toggle", () => rest.append(cards(others)), { once: true });
    node.append(rest);
  }
  return node;
}

function findGroups(form) {
  const { groups, told } = runNamed(form.run.value).training, words = form.words.value.trim().toLowerCase();
  const [least, most, verdict, step] = [form.least, form.most, form.verdict, form.step].map(control => control.value);
  const fits = (row, group) => (!verdict || verdictOf(row) === verdict) && hasFlag(row, form.flag.value)
    && (!least || (row.reward ?? -Infinity) >= +least) && (!most || (row.reward ?? Infinity) <= +most)
    && holds([group.question, textOf(row), row.answer ?? ""], words);
  const found = groups.filter(group => !step || group.step === step)
    .map(group => [group, group.rows.filter(row => fits(row, group))]).filter(([, rows]) => rows.length);
  const fitting = found.reduce((sum, [, rows]) => sum + rows.length, 0);
  const count = `${times(fitting, "completion")} of ${times(found.length, "prompt")} fit${fitting === 1 ? "s" : ""}.`;
  return { told, count, nodes: found.map(([group, rows]) => () => groupNode(group, rows)) };
}

if ($("training-form")) {
  for (const event of ["input", "restored"]) $("training-form").elements.run.addEventListener(event, fillSteps);
  listOf("training", findGroups);
}

// --- Side by side: a problem with every checkpoint's completion ---------------

function fillPairs() {
  const elements = $("problems-form").elements, { checkpoints } = runNamed(elements["problem-run"].value).problems;
  const pairs = checkpoints.flatMap((to, j) => checkpoints.slice(0, j).map(from => [from, to])).reverse();
  fillSelect(elements.pair, pairs.map(([from, to]) => [`${from.name} ${to.name}`, `${from.label} → ${to.label}`]));
}

function kindOf(item, pair) {
  const [was, now] = pair.split(" ").map(name => item.rows[name]);
  if (!was || !now) return "";
  return was.right ? (now.right ? "still_right" : "broken") : now.right ? "solved" : "still_wrong";
}

function problemNode(item, kind, checkpoints) {
  const changed = kind ? [el("span", { class: `kind ${kind}` }, data.kinds[kind]), " "] : [];
  const head = el("p", { class: "head" }, ...changed, `gold answer ${item.gold}`);
  const sides = checkpoints.map(({ name, label }) => item.rows[name] ? card(item.rows[name], label)
    : el("section", { class: "side" }, el("h3", {}, label), el("p", { class: "facts" }, "not answered yet")));
  return el("article", {}, head, el("p", { class: "question" }, item.question), el("div", { class: "sides" }, ...sides));
}

function findProblems(form) {
  const { items, told, checkpoints } = runNamed(form["problem-run"].value).problems;
  const words = form["problem-words"].value.trim().toLowerCase(), flag = form["problem-flag"].value;
  const pair = form.pair.value, kind = form.kind.value;
  const fits = item => {
    const rows = Object.values(item.rows), flagged = row => hasFlag(row, flag);
    return (!kind || kindOf(item, pair) === kind) && (flag === "none" ? rows.every(flagged) : rows.some(flagged))
      && holds([item.question, ...rows.flatMap(row => [textOf(row), row.answer ?? ""])], words);
  };
  const found = items.filter(fits);
  const nodes = found.map(item => () => problemNode(item, kindOf(item, pair), checkpoints));
  return { told, count: `${times(found.length, "problem")} fit${found.length === 1 ? "s" : ""}.`, nodes };
}

if ($("problems-form")) {
  for (const event of ["input", "restored"]) $("problems-form").elements["problem-run"].addEventListener(event, fillPairs);
  listOf("problems", findProblems);
}

// A mark that is touched, or chosen with Enter, says why.
const openMark = event => { if (event.target.tagName === "MARK") event.target.classList.toggle("open"); };
document.addEventListener("click", openMark);
document.addEventListener("keydown", event => { if (event.key === "Enter") openMark(event); });
restore();
