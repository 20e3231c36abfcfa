/* The graph: drawn on a canvas, moved by mouse and keys. */
const $ = id => document.getElementById(id);
const state = { graph: { nodes: [], edges: [], seconds: 60 }, laid: layout({ nodes: [], edges: [] }), picked: "", cursor: "",
  query: "", pan: [0, 0], zoom: 1, moved: false, routes: [], past: 3600, trace: "" };
const split = full => { const at = full.indexOf("/"); return [full.slice(0, at), full.slice(at + 1)]; };
const ms = v => v >= 10 ? v.toFixed(0) + " ms" : v.toFixed(1) + " ms";
const share = v => v > 0 && v < 0.001 ? "<0.1%" : (100 * v).toFixed(1) + "%";
const often = one => { const rate = one.calls / state.graph.seconds;
  return rate >= 9.95 || !rate ? rate.toFixed(0) + "/s" : rate >= 0.95 ? rate.toFixed(1) + "/s" : rate >= 1 / 90 ? (60 * rate).toFixed(0) + "/min" : (3600 * rate).toFixed(0) + "/h"; };
const tints = {};
function readTints() {
  const style = getComputedStyle(document.documentElement);
  version++;
  for (const name of ["paper", "ink", "faint", "line", "edge", "card", "bad", "good", "warm", "pick"]) tints[name] = style.getPropertyValue("--" + name).trim();
}
const health = one => one.errors > 0.05 ? tints.bad : one.errors > 0 ? tints.warm : "";

/* An edge's curve: leaves towards whom it calls, also backwards and within a column. */
function curve(a, b) {
  const half = BOX.width / 2;
  if (a === b) return [a.x - 30, a.y - 24, a.x - 50, a.y - 62, a.x + 50, a.y - 62, a.x + 30, a.y - 24];
  if (b.x > a.x) { const bend = Math.max(40, (b.x - a.x - BOX.width) / 2); return [a.x + half, a.y, a.x + half + bend, a.y, b.x - half - bend, b.y, b.x - half, b.y]; }
  if (b.x < a.x) { const bend = Math.max(40, (a.x - b.x - BOX.width) / 2), low = 10; return [a.x - half, a.y + low, a.x - half - bend, a.y + low, b.x + half + bend, b.y + low, b.x + half, b.y + low]; }
  return [a.x + half, a.y, a.x + half + 46, a.y, b.x + half + 46, b.y, b.x + half, b.y];
}
/* What does not change while the graph is moved: paths of one look are one path. */
const sketched = { key: "", edges: [], nodes: [], wanted: [] };
let version = 0;
function looks(groups, style, alpha, width, dash) {
  const key = [style, alpha, width, dash].join();
  return groups.get(key) || groups.set(key, { style, alpha, width, dash: dash ? dash.split(" ").map(Number) : [], path: new Path2D(), heads: new Path2D() }).get(key);
}
function sketchEdge(groups, e, alpha) {
  const a = state.laid.places.get(e.source), b = state.laid.places.get(e.target), p = curve(a, b), left = b.x <= a.x ? 1 : -1;
  const wide = Math.round(2 * (1 + Math.min(4, Math.log10(1 + e.calls / state.graph.seconds) * 2))) / 2;
  const group = looks(groups, health(e) || (e.calls ? tints.good : tints.line), alpha, wide, e.mtls !== null && e.mtls < 1 ? "6 4" : "");
  group.path.moveTo(p[0], p[1]); group.path.bezierCurveTo(...p.slice(2)); group.heads.moveTo(p[6], p[7]);
  if (a === b) { group.heads.lineTo(p[6] - 1, p[7] - 9); group.heads.lineTo(p[6] + 8, p[7] - 5); } else { group.heads.lineTo(p[6] + 8 * left, p[7] - 4.5); group.heads.lineTo(p[6] + 8 * left, p[7] + 4.5); }
  return [(p[0] + 3 * p[2] + 3 * p[4] + p[6]) / 8, (p[1] + 3 * p[3] + 3 * p[5] + p[7]) / 8];
}
function sketchNode(groups, n) {
  const p = state.laid.places.get(n.name), { width, height } = BOX, picked = n.name === state.picked;
  looks(groups, picked ? tints.pick : health(n) || tints.edge, found(n.name) ? 1 : 0.25, picked ? 3 : 1.5, n.external ? "4 3" : "")
    .path.roundRect(p.x - width / 2, p.y - height / 2, width, height, 8);
}
function sketch(about, far) {
  const key = [version, about, far, state.query, state.picked].join("|"); if (key === sketched.key) return;
  const near = e => !about || e.source === about || e.target === about, busy = state.graph.edges.length > 80;
  const edges = new Map(), nodes = new Map(); Object.assign(sketched, { key, wanted: [] });
  for (const first of [false, true]) for (const e of state.graph.edges) if (near(e) === first) {
    const middle = sketchEdge(edges, e, !first ? 0.12 : busy && !about ? health(e) ? 0.8 : 0.35 : 1);
    if (first && (about || !far)) sketched.wanted.push([e, middle]);
  }
  for (const n of state.graph.nodes) sketchNode(nodes, n);
  sketched.edges = [...edges.values()]; sketched.nodes = [...nodes.values()];
  sketched.wanted.sort(([a], [b]) => b.errors - a.errors || b.calls - a.calls);
}
function drawSketch(c) {
  for (const { style, alpha, width, dash, path, heads } of sketched.edges) {
    c.globalAlpha = alpha; c.strokeStyle = c.fillStyle = style; c.lineWidth = width; c.setLineDash(dash); c.stroke(path); c.setLineDash([]); c.fill(heads); }
  for (const { style, alpha, width, dash, path } of sketched.nodes) {
    c.globalAlpha = alpha; c.fillStyle = tints.card; c.fill(path); c.strokeStyle = style; c.lineWidth = width; c.setLineDash(dash); c.stroke(path); }
  c.setLineDash([]); c.globalAlpha = 1;
}
/* Labels never cover each other or a service: what finds no room is told when its service is chosen. */
function drawLabels(c, wanted) {
  const taken = [];
  const free = (l, t, r, b) => !taken.some(o => l < o[2] && r > o[0] && t < o[3] && b > o[1]);
  for (const p of state.laid.places.values()) taken.push([p.x - BOX.width / 2, p.y - BOX.height / 2, p.x + BOX.width / 2, p.y + BOX.height / 2]);
  c.textAlign = "center"; c.lineWidth = 4; c.strokeStyle = tints.paper; c.lineJoin = "round"; c.globalAlpha = 1;
  for (const [e, [x, y]] of wanted) {
    const text = `${often(e)}${e.errors ? " " + share(e.errors) : ""}${e.mtls !== null && e.mtls < 1 ? " plaintext" : ""}`;
    const wide = c.measureText(text).width / 2 + (e.mtls === 1 ? 14 : 2);
    if (!free(x - wide, y - 8, x + wide, y + 8)) continue;
    taken.push([x - wide, y - 8, x + wide, y + 8]);
    c.fillStyle = e.errors > 0.05 ? tints.bad : tints.ink; c.strokeText(text, x, y); c.fillText(text, x, y);
    if (e.mtls === 1) lock(c, x + wide - 5, y);
  }
}
function lock(c, x, y) {
  c.strokeRect(x - 4, y - 2, 8, 6); c.fillRect(x - 4, y - 2, 8, 6); c.save(); c.lineWidth = 1.3; c.strokeStyle = c.fillStyle;
  c.beginPath(); c.arc(x, y - 2, 2.7, Math.PI, 0); c.stroke(); c.restore(); }
const known = new Map();
function remembered(key, make) {
  if (!known.has(key)) { if (known.size > 5000) known.clear(); known.set(key, make()); }
  return known.get(key);
}
function fitting(c, text, width) {
  return remembered(c.font + width + text, () => {
    let shown = text; while (shown.length > 1 && c.measureText(shown).width > width) shown = shown.slice(0, shown.endsWith("…") ? -2 : -1) + "…";
    return shown; });
}
function drawText(c, n) {
  const p = state.laid.places.get(n.name), [space, name] = split(n.name);
  c.globalAlpha = found(n.name) ? 1 : 0.25;
  c.fillStyle = tints.ink; c.fillText(fitting(c, name, BOX.width - 12), p.x, p.y - 8);
  c.fillStyle = tints.faint; c.fillText(fitting(c, n.calls ? `${often(n)}  p99 ${ms(n.p99)}` : space || "outside", BOX.width - 12), p.x, p.y + 10);
}
/* From afar the name alone, in two lines where one is too short for it. */
function drawName(c, n, size) {
  const p = state.laid.places.get(n.name), name = split(n.name)[1], small = Math.min(size, 20);
  const lines = remembered(`${size} ${name}`, () => {
    const room = BOX.width - 10; c.font = font(size); if (c.measureText(name).width <= room) return [name];
    c.font = font(small);
    const cut = [...name.matchAll(/[-.]/g)].map(m => m.index + 1).filter(at => c.measureText(name.slice(0, at)).width <= room).at(-1);
    return cut ? [name.slice(0, cut), fitting(c, name.slice(cut), room)] : [fitting(c, name, room), ""]; });
  c.globalAlpha = found(n.name) ? 1 : 0.25; const wish = font(lines.length > 1 ? small : size); if (c.font !== wish) c.font = wish;
  if (lines.length === 1 || !lines[1]) c.fillText(lines[0], p.x, p.y);
  else { c.fillText(lines[0], p.x, p.y - small * 0.52); c.fillText(lines[1], p.x, p.y + small * 0.56); }
}
const font = size => `${size}px system-ui, sans-serif`;
function drawCursor(c) {
  const p = state.laid.places.get(state.cursor); if (!p || document.activeElement !== $("graph")) return;
  c.beginPath(); c.roundRect(p.x - BOX.width / 2 - 5, p.y - BOX.height / 2 - 5, BOX.width + 10, BOX.height + 10, 12);
  c.lineWidth = Math.max(2.5, 2 / state.zoom); c.strokeStyle = tints.pick; c.stroke();
}
const found = name => !state.query || name.toLowerCase().includes(state.query.toLowerCase());
function draw() {
  const canvas = $("graph"), scale = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) { canvas.width = Math.round(w * scale); canvas.height = Math.round(h * scale); }
  const c = canvas.getContext("2d"), far = state.zoom < 0.8, size = far ? Math.min(24, Math.round(10.5 / state.zoom)) : 12;
  sketch(state.picked || (document.activeElement === canvas && state.cursor) || "", far);
  c.setTransform(scale, 0, 0, scale, 0, 0); c.clearRect(0, 0, w, h);
  c.translate(...state.pan); c.scale(state.zoom, state.zoom);
  drawSketch(c); drawCursor(c);
  c.textBaseline = "middle"; c.textAlign = "center"; c.font = font(size); c.fillStyle = tints.ink;
  for (const n of state.graph.nodes) if (far) drawName(c, n, size); else drawText(c, n);
  c.font = font(size); drawLabels(c, sketched.wanted); c.globalAlpha = 1;
}
let due = false;
function redraw() { if (!due) { due = true; requestAnimationFrame(() => { due = false; draw(); }); } }

/* Below the graph stand what the keys are at, and how to zoom. */
const room = () => [$("stage").clientWidth, Math.max(100, $("stage").clientHeight - 44)];
function place() { version++; state.laid = layout(state.graph, ...room()); if (!state.moved) fit(); }
function fit() {
  const [w, h] = room(), { width, height } = state.laid;
  state.zoom = Math.max(0.15, Math.min(1.2, w / width, h / height));
  state.pan = [(w - width * state.zoom) / 2, (h - height * state.zoom) / 2]; state.moved = false; redraw();
}
function zoom(factor, x = $("stage").clientWidth / 2, y = $("stage").clientHeight / 2) {
  const z = Math.min(3, Math.max(0.15, state.zoom * factor)), k = z / state.zoom;
  state.pan = [x - (x - state.pan[0]) * k, y - (y - state.pan[1]) * k]; state.zoom = z; state.moved = true; redraw();
}
/* Bring a service into sight. */
function reveal(name) {
  const p = state.laid.places.get(name), stage = $("stage"); if (!p) return;
  [[p.x, BOX.width / 2, stage.clientWidth], [p.y, BOX.height / 2, stage.clientHeight]].forEach(([at, half, size], axis) => {
    const low = (at - half - 8) * state.zoom + state.pan[axis], high = (at + half + 8) * state.zoom + state.pan[axis];
    if (low < 0) state.pan[axis] -= low; else if (high > size) state.pan[axis] -= high - size; });
}
/* Up and down within a column and on into the next; left and right to what is level in the next column. */
function step(key) {
  const { places, columns } = state.laid, at = places.get(state.cursor); if (!at) return columns[0]?.[0] || "";
  const all = columns.flat(), here = all.indexOf(state.cursor);
  if (key === "Home" || key === "End") return all.at(key === "Home" ? 0 : -1);
  if (key === "ArrowUp" || key === "ArrowDown") return all[here + (key === "ArrowUp" ? -1 : 1)] || state.cursor;
  const next = columns[at.column + (key === "ArrowLeft" ? -1 : 1)] || [state.cursor];
  return next.reduce((a, b) => Math.abs(places.get(b).y - at.y) < Math.abs(places.get(a).y - at.y) ? b : a);
}
function moveTo(name) {
  const n = state.graph.nodes.find(n => n.name === name); if (!n) return;
  const [space, short] = split(name), out = state.graph.edges.filter(e => e.source === name).length, into = state.graph.edges.filter(e => e.target === name).length;
  state.cursor = name; reveal(name); redraw();
  $("tip").textContent = $("said").textContent = `${short}, ${space ? "namespace " + space : "outside of the mesh"}: ${n.calls ? `${often(n)}, ${share(n.errors)} errors, p99 ${ms(n.p99)}, ` : ""}called by ${into}, calls ${out}`;
}
function graphKey(e) {
  if (/^(Arrow|Home$|End$)/.test(e.key)) moveTo(step(e.key));
  else if (e.key === "Enter" || e.key === " ") choose(state.cursor);
  else if (e.key === "+" || e.key === "=") zoom(1.2);
  else if (e.key === "-") zoom(1 / 1.2);
  else if (e.key === "0") fit();
  else return;
  e.preventDefault();
}
function listen() {
  const graph = $("graph"), at = e => { const x = (e.offsetX - state.pan[0]) / state.zoom, y = (e.offsetY - state.pan[1]) / state.zoom;
    return [...state.laid.places].find(([, p]) => Math.abs(p.x - x) < BOX.width / 2 && Math.abs(p.y - y) < BOX.height / 2)?.[0] || ""; };
  let drag = null;
  graph.onkeydown = e => { if (!e.ctrlKey && !e.metaKey && !e.altKey) graphKey(e); };
  graph.onfocus = () => { if (graph.matches(":focus-visible")) moveTo(state.picked || state.cursor || state.laid.columns[0]?.[0]); redraw(); };
  graph.onblur = () => { $("tip").textContent = ""; redraw(); };
  graph.onpointerdown = e => { drag = { x: e.clientX, y: e.clientY, pan: [...state.pan], moved: false }; graph.setPointerCapture(e.pointerId); };
  graph.onpointermove = e => {
    if (!drag) { const name = at(e); graph.style.cursor = name ? "pointer" : "grab"; $("tip").textContent = name.replace(/^\//, ""); return; }
    const dx = e.clientX - drag.x, dy = e.clientY - drag.y; drag.moved ||= Math.abs(dx) + Math.abs(dy) > 4;
    if (drag.moved) { state.pan = [drag.pan[0] + dx, drag.pan[1] + dy]; state.moved = true; redraw(); } };
  graph.onpointerup = e => { if (drag && !drag.moved) { const name = at(e); state.cursor = name || state.cursor; choose(name); } drag = null; };
  graph.onpointercancel = () => { drag = null; };
  graph.addEventListener("wheel", e => { e.preventDefault(); zoom(e.deltaY < 0 ? 1.1 : 1 / 1.1, e.offsetX, e.offsetY); }, { passive: false });
  $("closer").onclick = () => zoom(1.2); $("farther").onclick = () => zoom(1 / 1.2); $("fit").onclick = fit;
  new ResizeObserver(() => { place(); redraw(); }).observe($("stage"));
}
