/* Where services stand: layers by distance from whoever nobody calls, wrapped into columns so that all of it fits
   the stage; the same mesh always looks the same. */
const BOX = { width: 150, height: 48, down: 66, aside: 176, gap: 96, edge: 24 };

function layers(graph) {
  const depth = new Map(), called = new Set(graph.edges.filter(e => e.source !== e.target).map(e => e.target));
  const out = new Map();
  for (const e of graph.edges) (out.get(e.source) || out.set(e.source, []).get(e.source)).push(e.target);
  const spread = begin => {
    for (let wave = begin, level = 0; wave.length; level++) {
      wave = wave.filter(n => !depth.has(n) && depth.set(n, level)).flatMap(n => out.get(n) || []);
    }
  };
  spread(graph.nodes.map(n => n.name).filter(n => !called.has(n)));
  for (const n of graph.nodes) if (!depth.has(n.name)) spread([n.name]);
  const found = [];
  for (const n of graph.nodes) (found[depth.get(n.name)] ||= []).push(n.name);
  return found.filter(Boolean).map(layer => layer.sort());
}

/* Each beside those that it calls and that call it, as far as a few sweeps bring them together. */
function order(found, edges) {
  const around = new Map();
  for (const { source, target } of edges) for (const [a, b] of [[source, target], [target, source]]) {
    (around.get(a) || around.set(a, []).get(a)).push(b);
  }
  const rank = new Map();
  const count = layer => layer.forEach((n, i) => rank.set(n, (i + 0.5) / layer.length));
  found.forEach(count);
  for (let sweep = 0; sweep < 6; sweep++) for (const layer of sweep % 2 ? [...found].reverse() : found) {
    const wish = new Map(layer.map(n => {
      const others = around.get(n) || [n];
      return [n, others.reduce((sum, o) => sum + rank.get(o), 0) / others.length];
    }));
    layer.sort((a, b) => wish.get(a) - wish.get(b) || (a < b ? -1 : 1));
    count(layer);
  }
  return found;
}

/* Columns of names, and the size of all, when no column is longer than `rows`. */
function columns(found, rows) {
  const made = [];
  let x = BOX.edge + BOX.width / 2;
  for (const layer of found) {
    const many = Math.ceil(layer.length / rows), each = Math.ceil(layer.length / many);
    for (let i = 0; i < many; i++, x += BOX.aside) made.push({ x, names: layer.slice(i * each, (i + 1) * each) });
    x += BOX.gap;
  }
  const longest = Math.max(...made.map(column => column.names.length));
  return { made, width: x - BOX.gap - BOX.aside + BOX.width / 2 + BOX.edge, height: longest * BOX.down + 2 * BOX.edge };
}

/* Name -> { x, y, column }, columns of names from the left, and the size of all. */
function layout(graph, width, height) {
  const places = new Map();
  if (!graph.nodes.length) return { places, columns: [], width: 1, height: 1 };
  const found = order(layers(graph), graph.edges), tallest = Math.max(...found.map(layer => layer.length));
  let best = null;
  for (let rows = 1; rows <= tallest; rows++) {
    const tried = columns(found, rows), zoom = Math.min(width / tried.width, height / tried.height);
    if (!best || zoom > best.zoom) best = { ...tried, zoom };
  }
  const longest = Math.max(...best.made.map(column => column.names.length)), room = height / best.zoom - 2 * BOX.edge;
  const down = Math.max(BOX.down, Math.min(2 * BOX.down, room / longest)), tall = longest * down + 2 * BOX.edge;
  best.made.forEach((column, at) => column.names.forEach((n, y) => places.set(n, { x: column.x, column: at,
    y: tall / 2 + (y - (column.names.length - 1) / 2) * down })));
  return { places, columns: best.made.map(column => column.names), width: best.width, height: tall };
}
