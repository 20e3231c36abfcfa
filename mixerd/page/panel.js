/* What is known of the chosen service; without one, of the whole mesh. */
function make(tag, text, kind) { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (kind) e.className = kind; return e; }
function table(head, rows) {
  const t = make("table"), top = make("tr"); head.forEach(h => top.append(make("th", h))); t.append(top);
  for (const row of rows) { const tr = make("tr"); row.forEach(cell => { const td = make("td"); td.append(cell); if (/^[<\d.]+ ?(%|ms|\/\w+)$/.test(td.textContent)) td.className = "n"; tr.append(td); }); t.append(tr); }
  return t;
}
async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).message || answer.status);
  return answer.json();
}
/* A part of the panel that is replaced by itself: focus elsewhere and how far one has scrolled stay. */
const PARTS = ["figures", "proxies", "endpoints", "history", "traces", "waterfall", "logs"];
function part(name, ...content) {
  const box = $("part-" + name), key = box.contains(document.activeElement) && document.activeElement.dataset.key;
  box.replaceChildren(...content);
  if (key) box.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}
function configured(space, name) {
  const rows = [];
  for (const vs of state.routes) for (const http of vs.spec?.http || []) for (const r of http.route || []) {
    const host = r.destination?.host || "", short = host.split(".")[0];
    if (short === name && (vs.metadata.namespace === space || host.includes(`.${space}.`))) rows.push([r.destination.subset || "-", (http.route.length > 1 ? r.weight || 0 : 100) + "%", `${vs.metadata.name}`]);
  }
  return rows;
}
const shortly = (full, space) => { const [of, name] = split(full); return of === space || !of ? name : full; };
function figures(node) {
  const [space, short] = split(node.name), found = [make("h2", short), make("div", space ? `namespace ${space}` : "outside of the mesh", "faint")];
  found.push(table(["rate", "errors", "p50", "p99"], [[often(node), make("span", share(node.errors), node.errors > 0.05 ? "bad" : node.errors > 0 ? "warm" : ""), ms(node.p50), ms(node.p99)]]));
  const sum = Object.values(node.versions).reduce((a, b) => a + b, 0);
  if (sum) found.push(make("h3", "Versions in effect"), table(["version", "share"], Object.entries(node.versions).map(([v, n]) => [v, share(n / sum)])));
  const weights = configured(space, short);
  if (weights.length) found.push(make("h3", "Weights configured"), table(["subset", "weight", "VirtualService"], weights));
  for (const [title, own, other] of [["Called by", "target", "source"], ["Calls", "source", "target"]]) {
    const mine = state.graph.edges.filter(e => e[own] === node.name);
    if (mine.length) found.push(make("h3", title), table(["service", "rate", "mTLS"], mine.map(e => [shortly(e[other], space), often(e), e.mtls === null ? "-" : make("span", share(e.mtls), e.mtls < 1 ? "warm" : "")])));
  }
  return found;
}
function overview() {
  const { nodes, edges } = state.graph, failing = nodes.filter(n => n.errors > 0).sort((a, b) => b.errors - a.errors).slice(0, 8);
  const open = edges.filter(e => e.mtls !== null && e.mtls < 1).slice(0, 8), found = [make("h2", "The mesh"), make("p", "Choose a service: click it, or use the list.", "faint")];
  if (failing.length) found.push(make("h3", "Services that fail"), ...failing.map(n => chooser(n.name, `${share(n.errors)}  ${n.name.replace(/^\//, "")}`)));
  if (open.length) found.push(make("h3", "Calls without mutual TLS"), ...open.map(e => chooser(e.target, `${split(e.source)[1]} → ${split(e.target)[1]}`)));
  const keys = make("p", undefined, "faint");
  for (const [key, what] of [["/", "search"], ["Tab", "next control"], ["arrows", "move"], ["Enter", "choose"], ["Esc", "let go"], ["+ − 0", "size"], ["d", "dark or light"]]) keys.append(make("kbd", key), ` ${what}  `);
  found.push(make("h3", "Keys"), keys); return found;
}
function chooser(name, text) { const b = make("button", text); b.dataset.key = name + text; b.title = text; b.onclick = () => choose(name); return b; }
async function choose(name) {
  const side = $("side"), node = state.graph.nodes.find(n => n.name === name);
  if (!side.firstChild || name !== state.picked) {
    const inside = side.contains(document.activeElement);
    side.replaceChildren(...PARTS.map(one => { const box = make("div"); box.id = "part-" + one; return box; })); side.scrollTop = 0; state.trace = "";
    if (inside) side.focus();
  }
  state.picked = name; list(); redraw();
  part("figures", ...(node ? figures(node) : name ? gone(name) : overview()));
  if (node) { reveal(name); $("said").textContent = `${split(name)[1]} is chosen`; }
  const [space, short] = split(name); if (!node || !space) return;
  latest(name);
  const settled = await Promise.allSettled([ask("proxies"), ask("certificates"),
    ask(`../../apis/networking.istio.io/v1/namespaces/${space}/workloadentries`), ask(`../../apis/networking.istio.io/v1/namespaces/${space}/serviceentries`),
    ask(`telemetry/history?seconds=${state.past}&service=${encodeURIComponent(name)}`)]);
  if (state.picked !== name) return;
  const [proxies, certificates, workloads, entries] = settled.map(r => r.value?.items || []), past = settled[4].value;
  const own = proxies.filter(p => p.proxy.endsWith("." + space) && (p.proxy.startsWith(short + "-") || p.proxy.startsWith(short + ".") || "istio-" + p.proxy.split(".")[0] === short));
  if (own.length) part("proxies", make("h3", "Proxies"), table(["proxy", "configuration", "certificate"], own.map(p => [p.proxy.slice(0, -space.length - 1), sync(p), certificate(p, space, certificates)])));
  const places = endpoints(short, space, own, workloads, entries);
  if (places.length) part("endpoints", make("h3", "Endpoints"), table(["address", "known by"], places));
  if (past?.at?.length) part("history", make("h3", "History"), spans(name), ...history(past));
}
const gone = name => [make("h2", split(name)[1]), make("p", "Nobody called it, and it called nobody, in this time.", "faint")];
/* What goes on being told of the chosen service: asked for anew with each refresh. */
async function latest(name) {
  const service = encodeURIComponent(name);
  const [traces, logs] = (await Promise.allSettled([ask(`telemetry/traces?limit=8&service=${service}`), ask(`telemetry/logs?limit=12&service=${service}`)])).map(r => r.value?.items || []);
  if (state.picked !== name) return;
  part("traces", ...(traces.length ? [make("h3", "Recent traces"), ...traces.map(traced)] : []));
  part("logs", ...(logs.length ? [make("h3", "Latest requests"), make("pre", logs.map(line).join("\n"))] : []));
}
function traced(t) {
  const text = `${ms(t.duration)}  ${t.spans} spans  ${t.name}`.replace(".svc.cluster.local", ""), b = make("button", text, t.failed ? "bad" : "");
  b.dataset.key = t.trace; b.title = text; b.setAttribute("aria-expanded", t.trace === state.trace);
  b.onclick = () => { state.trace = state.trace === t.trace ? "" : t.trace; for (const o of $("part-traces").querySelectorAll("button")) o.setAttribute("aria-expanded", o.dataset.key === state.trace); waterfall(state.trace); };
  return b;
}
const line = l => `${new Date(l.at * 1000).toISOString().slice(11, 23)} ${l.source} → ${l.service} ${l.method} ${l.path} ${l.code || "-"} ${l.flags} ${ms(l.duration)}${l.reporter === "source" ? ", as the caller saw it" : ""}`;
/* The newest that citadeld issued to it: how old, and how long it is still good. */
function certificate(proxy, space, all) {
  const name = proxy.proxy.slice(0, -space.length - 1), mine = all.filter(c => c.node === name && c.identity.includes(`/ns/${space}/`) && !c.revoked);
  const newest = mine.sort((a, b) => b.issued.localeCompare(a.issued))[0]; if (!newest) return make("span", "-", "faint");
  const now = Date.now(), left = new Date(newest.notAfter) - now, whole = new Date(newest.notAfter) - new Date(newest.issued);
  const cell = make("span", `${age(now - new Date(newest.issued))} old, ${left > 0 ? age(left) + " left" : "expired"}`, left < whole / 4 ? left > 0 ? "warm" : "bad" : "good");
  cell.title = `${newest.identity}, serial ${newest.serial}`; return cell;
}
const age = ms => ms < 90e3 ? Math.round(ms / 1e3) + " s" : ms < 90 * 60e3 ? Math.round(ms / 60e3) + " min" : ms < 36 * 3600e3 ? Math.round(ms / 3600e3) + " h" : Math.round(ms / 86400e3) + " days";
/* Where it is: its proxies, WorkloadEntries with its label, addresses that its ServiceEntries write. */
function endpoints(short, space, own, workloads, entries) {
  const found = new Map(own.map(p => [p.node.split("~")[1], "proxy " + p.proxy.slice(0, -space.length - 1)]));
  const add = (address, how) => { if (address && !found.has(address)) found.set(address, how); };
  for (const w of workloads) if ((w.spec.labels?.app || w.metadata.name) === short) add(w.spec.address, "WorkloadEntry " + w.metadata.name);
  for (const e of entries) if ((e.spec.hosts || []).some(h => h.split(".")[0] === short)) for (const one of e.spec.endpoints || []) add(one.address, "ServiceEntry " + e.metadata.name);
  return [...found].sort();
}
function spans(name) {
  const box = make("select"); box.setAttribute("aria-label", "How far back"); box.dataset.key = "past";
  for (const [seconds, text] of [[3600, "1 h"], [21600, "6 h"], [86400, "24 h"], [604800, "7 days"]]) { const o = make("option", text); o.value = seconds; o.selected = seconds === state.past; box.append(o); }
  box.onchange = () => { state.past = +box.value; choose(name); }; return box;
}
function history(past) {
  if (!past.rate.some(v => v !== null)) return [make("p", "Prometheus has kept nothing of it in that time.", "faint")];
  const line = (values, kind, text) => {
    const known = values.filter(v => v !== null), most = Math.max(...known, 0) || 1, box = make("div");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS(svg.namespaceURI, "path");
    svg.setAttribute("viewBox", "0 0 240 36"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("role", "img"); svg.setAttribute("aria-label", text); svg.setAttribute("class", "past " + kind);
    let pen = false, d = ""; values.forEach((v, i) => { if (v === null) { pen = false; return; } d += `${pen ? "L" : "M"}${(240 * i / Math.max(1, values.length - 1)).toFixed(1)} ${(34 - 32 * v / most).toFixed(1)}`; pen = true; });
    path.setAttribute("d", d); svg.append(path); box.append(make("small", text), svg); return box; };
  const last = values => values.filter(v => v !== null).at(-1) ?? 0;
  return [line(past.rate, "", `requests, now ${last(past.rate).toFixed(1)}/s`), line(past.failed, "bad", `failures, now ${last(past.failed).toFixed(2)}/s`), line(past.p99, "warm", `p99, now ${ms(last(past.p99))}`)];
}
function sync(proxy) {
  const bad = Object.entries(proxy.types || {}).filter(([, t]) => t.nacked || t.sent !== t.acked);
  return make("span", bad.length ? bad.map(([n, t]) => n.toUpperCase() + (t.nacked ? " refused" : " not yet")).join(", ") : "as it should be", bad.length ? "bad" : "good");
}
async function waterfall(id) {
  if (!id) { part("waterfall"); return; }
  const spans = (await ask(`telemetry/trace?id=${encodeURIComponent(id)}`)).items; if (!spans.length || state.trace !== id) return;
  const begin = Math.min(...spans.map(s => s.start)), whole = Math.max(...spans.map(s => s.start / 1e6 + s.duration)) - begin / 1e6 || 1;
  part("waterfall", make("small", "trace " + id), ...spans.map(s => {
    const row = make("div"), bar = make("div", undefined, "bar"), i = make("i", undefined, s.failed ? "bad" : "");
    i.style.left = 100 * (s.start - begin) / 1e6 / whole + "%"; i.style.width = Math.min(100, 100 * s.duration / whole) + "%"; bar.append(i);
    row.append(make("small", `${s.service} ${s.kind} ${ms(s.duration)}${s.failed ? ", failed" : ""}`), bar); return row; }));
}
