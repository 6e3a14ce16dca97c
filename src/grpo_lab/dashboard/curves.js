// The curves: a small chart a metric, the chosen runs in each.

const WIDTH = 360, HEIGHT = 190, LEFT = 50, RIGHT = 12, TOP = 10, BOTTOM = 34;
const curvesForm = $("curves-form");

// The mean of `window` values around each one; at the ends, of those that there are.
function smoothed(values, window) {
  const reach = (window - 1) / 2;
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - reach), i + reach + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

function ticks(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(n => n * power).find(size => size >= raw);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

function written(value, unit) {
  if (unit === "share") return `${+(100 * value).toFixed(1)}%`;
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return size && size < 1e-3 ? value.toExponential(1) : String(+value.toPrecision(3));
}

// The lines of a chart: the runs that have this metric, with what is drawn pale (raw) and strong (mean).
function linesOf(metric, stage, window) {
  const chosen = [...curvesForm.querySelectorAll("[name=runs]:checked")].map(box => box.value);
  return data.runs.flatMap((run, i) => {
    const points = chosen.includes(run.name) && run.curves[stage]?.[metric.name];
    if (!points) return [];
    const banded = points.some(point => point.length === 4), raw = points.map(point => point[1]);
    const mean = metric.exact || window === 1 ? raw : smoothed(raw, window);
    return [{ name: run.name, style: `c${i % 7} d${Math.floor(i / 7) % 4}`, points, banded, raw, mean }];
  });
}

// Where steps and values lie. Shares, and whatever comes close to nought, begin at nought.
function scalesOf(lines, unit) {
  const points = lines.flatMap(line => line.points), steps = points.map(point => point[0]);
  const values = points.flatMap(point => point.slice(1)), first = Math.min(...steps), last = Math.max(...steps);
  let low = Math.min(...values), high = Math.max(...values);
  if (unit === "share" || (low > 0 && low < high / 2)) low = 0;
  if (low === high) [low, high] = [low && low - Math.abs(low) / 2, high + (Math.abs(high) || 1) / 2];
  const pad = (high - low) * 0.05, bottom = low && low - pad;
  const top = unit === "share" ? Math.max(high, Math.min(1, high + pad)) : high + pad;
  return {
    first, last, bottom, top,
    x: step => LEFT + (WIDTH - LEFT - RIGHT) * (last === first ? 0.5 : (step - first) / (last - first)),
    y: value => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - bottom) / (top - bottom),
  };
}

function pathOf(steps, values, at) {
  return steps.map((step, i) => `${i ? "L" : "M"}${at.x(step).toFixed(1)} ${at.y(values[i]).toFixed(1)}`).join("");
}

function axes(at, unit) {
  const text = (x, y, anchor, inner) => el("text", { x, y, "text-anchor": anchor }, inner);
  const rows = ticks(at.bottom, at.top, 4).flatMap(value => [
    el("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: at.y(value), y2: at.y(value) }),
    text(LEFT - 6, at.y(value) + 4, "end", written(value, unit)),
  ]);
  const whole = ticks(at.first, Math.max(at.last, at.first + 1), 5).filter(step => Number.isInteger(step) && step <= at.last);
  const columns = whole.map(step => text(at.x(step), HEIGHT - BOTTOM + 15, "middle", written(step)));
  return [...rows, ...columns, text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "middle", "optimiser step")];
}

function drawLine(line, at) {
  const steps = line.points.map(point => point[0]), group = el("g", { class: line.style });
  if (line.banded) {
    const whole = line.points.filter(point => point.length === 4), there = whole.map(point => point[0]);
    const back = pathOf([...there].reverse(), whole.map(point => point[2]).reverse(), at).replace("M", "L");
    group.append(el("path", { class: "band", d: `${pathOf(there, whole.map(point => point[3]), at)}${back}Z` }));
  } else if (line.mean !== line.raw) {
    group.append(el("path", { class: "raw", d: pathOf(steps, line.raw, at) }));
  }
  group.append(el("path", { class: "line", d: pathOf(steps, line.mean, at) }));
  const dots = line.banded || steps.length < 3 ? steps : [];
  group.append(...dots.map((step, i) => el("circle", { cx: at.x(step), cy: at.y(line.raw[i]), r: 3 })));
  return group;
}

// What the lines say at a step, or at their last one before it.
function readOut(lines, step, unit) {
  return lines.flatMap(line => {
    const i = line.points.findLastIndex(point => point[0] <= step);
    if (i < 0) return [];
    const [at, value, low, high] = line.points[i], notes = at < step ? [`at step ${at}`] : [];
    if (high !== undefined) notes.unshift(`${written(low, unit)} to ${written(high, unit)}`);
    if (line.mean !== line.raw) notes.unshift(`mean ${written(line.mean[i], unit)}`);
    const told = `${line.name} ${written(value, unit)}${notes.length ? ` (${notes.join(", ")})` : ""}`;
    return [el("span", {}, el("i", { class: `swatch ${line.style}` }), told)];
  });
}

function chartOf(metric, lines) {
  const at = scalesOf(lines, metric.unit), unit = metric.unit === "share" ? "percent" : metric.unit;
  const title = `${metric.title}${unit && unit !== "reward" ? ` (${unit})` : ""}`;
  const rule = el("line", { class: "rule", y1: TOP, y2: HEIGHT - BOTTOM }), told = el("output", {});
  const label = `${title}: ${lines.map(line => line.name).join(", ")}`;
  const svg = el("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "img", "aria-label": label });
  svg.append(...axes(at, metric.unit), ...lines.map(line => drawLine(line, at)), rule);
  const steps = [...new Set(lines.flatMap(line => line.points.map(point => point[0])))].sort((a, b) => a - b);
  let here = steps.length - 1;
  const read = i => {
    here = Math.max(0, Math.min(steps.length - 1, i));
    for (const end of ["x1", "x2"]) rule.setAttribute(end, at.x(steps[here]));
    told.replaceChildren(`step ${steps[here]}: `, ...readOut(lines, steps[here], metric.unit));
  };
  const point = event => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * WIDTH;
    read(steps.reduce((best, step, i) => Math.abs(at.x(step) - x) < Math.abs(at.x(steps[best]) - x) ? i : best, 0));
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("keydown", event => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) { event.preventDefault(); read(here + move); }
  });
  read(here);
  return el("figure", { "data-metric": metric.name }, el("figcaption", {}, title), svg, told);
}

function drawCurves() {
  const stage = curvesForm.elements.stage?.value, window = +curvesForm.elements.smooth.value;
  $("smooth-told").textContent = window === 1 ? "none" : `mean of ${window} logged steps`;
  const closed = new Set([...$("charts").querySelectorAll("details:not([open])")].map(group => group.dataset.group));
  const first = !$("charts").children.length;
  const groups = data.groups.flatMap(group => {
    const charts = group.metrics.map(metric => [metric, linesOf(metric, stage, window)]).filter(([, lines]) => lines.length);
    if (!charts.length) return [];
    const open = first ? group.name !== "Other metrics" : !closed.has(group.name);
    const inner = el("div", { class: "charts" }, ...charts.map(chart => chartOf(...chart)));
    return [el("details", { "data-group": group.name, ...(open ? { open: "" } : {}) }, el("summary", {}, group.name), inner)];
  });
  $("charts").replaceChildren(...(groups.length ? groups : [el("p", {}, "The chosen runs logged nothing in this stage.")]));
}

onView(curvesForm, drawCurves);
