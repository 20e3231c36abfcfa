/* The page: the list of services, search, keys of everything, and asking anew. */
function list() {
  const focused = document.activeElement?.closest("nav") && document.activeElement.dataset.name, shown = state.graph.nodes.filter(n => found(n.name));
  const stop = [focused, state.picked].find(name => name && shown.some(n => n.name === name)) || shown[0]?.name;
  const rows = shown.map(n => {
    const item = make("li"), button = make("button"); button.dataset.name = n.name; button.setAttribute("aria-current", n.name === state.picked);
    button.tabIndex = n.name === stop ? 0 : -1;
    button.append(make("div", n.name.replace(/^\//, "")), make("small", n.calls ? `${often(n)}, ${share(n.errors)} errors, p99 ${ms(n.p99)}` : "calls others", "rate"));
    button.onclick = () => { state.cursor = n.name; choose(n.name); }; item.append(button); return item;
  });
  $("list").replaceChildren(...(rows.length || !state.query ? rows : [make("li", "No service is called so.", "faint")]));
  if (focused) $("list").querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}
/* One stop of Tab for the whole list; within it, arrows. */
function listKey(e) {
  const all = [...document.querySelectorAll("nav button")], here = all.indexOf(e.target);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1, PageDown: Math.min(here + 10, all.length - 1), PageUp: Math.max(here - 10, 0) }[e.key];
  if (to === undefined || here < 0) return;
  e.preventDefault(); if (e.key === "ArrowUp" && !here) { $("search").focus(); return; }
  if (!all[to]) return;
  all[here].tabIndex = -1; all[to].tabIndex = 0; all[to].focus();
}
function searchKey(e) {
  const first = document.querySelector("nav button"); if (!first) return;
  if (e.key === "ArrowDown") { e.preventDefault(); first.focus(); }
  else if (e.key === "Enter" && state.query) { state.cursor = first.dataset.name; choose(first.dataset.name); }
}
function letGo() {
  if (state.query) { $("search").value = state.query = ""; list(); redraw(); return; }
  if (document.activeElement === $("search")) $("graph").focus();
  state.trace = ""; choose("");
}
async function refresh() {
  try {
    const seen = state.graph.nodes.map(n => n.name).join(), answer = await ask("telemetry/graph?seconds=" + $("window").value);
    const known = new Set(answer.nodes.map(n => n.name)); answer.edges = answer.edges.filter(e => known.has(e.source) && known.has(e.target));
    state.graph = answer; version++; if (answer.nodes.map(n => n.name).join() !== seen) place();
    list(); redraw(); $("state").className = "faint";
    $("state").textContent = `${answer.nodes.length} services, ${answer.edges.length} ways` + (answer.unreachable ? `; no answer from ${answer.unreachable.map(one => one.mixerd).join(", ")}` : "");
    const node = answer.nodes.find(n => n.name === state.picked);
    if (!$("side").firstChild) choose(""); else part("figures", ...(node ? figures(node) : state.picked ? gone(state.picked) : overview()));
    if (node && split(node.name)[0]) latest(node.name);
  } catch (error) { $("state").textContent = "no answer: " + error.message; $("state").className = "bad"; }
}
async function routes() { try { state.routes = (await ask("../../apis/networking.istio.io/v1/virtualservices")).items || []; } catch { state.routes = []; } }
function theme() { const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; root.dataset.theme = dark ? "light" : "dark"; readTints(); redraw(); }
function anyKey(e) {
  const typing = e.target.matches("input, select"); if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "/" && !typing) { e.preventDefault(); $("search").focus(); $("search").select(); }
  else if (e.key === "Escape") { e.preventDefault(); letGo(); }
  else if (e.key === "d" && !typing) theme();
}
const wanted = decodeURIComponent(location.hash.slice(1)), forced = new URLSearchParams(location.search).get("theme"); if (forced) document.documentElement.dataset.theme = forced;
readTints(); matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readTints(); redraw(); });
$("theme").onclick = theme; $("window").onchange = refresh; $("search").onkeydown = searchKey; document.querySelector("nav").onkeydown = listKey;
$("search").oninput = e => { state.query = e.target.value.trim(); list(); redraw(); };
addEventListener("keydown", anyKey); listen();
routes(); refresh().then(() => { if (wanted) choose(wanted); }); setInterval(refresh, 5000);
