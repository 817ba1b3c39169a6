// Draws the data of one run. Time is one value that everything listens to: charts, maps, the log, the address (#t=12.5).
"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const S = D.summary, END = Math.max(S.sim_seconds, 1e-3), N = D.peers.length;
const $ = id => document.getElementById(id);
const make = (tag, props = {}, ...inside) => { const e = Object.assign(document.createElement(tag), props); e.append(...inside); return e; };
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clamp = (x, lo, hi) => Math.min(hi, Math.max(lo, x));
const whole = n => Math.round(n).toLocaleString("en");
const percent = (x, digits = 1) => (100 * x).toFixed(digits) + " %";
const bytes = b => b < 1024 ? b + " B" : b < 1048576 ? (b / 1024).toFixed(1) + " KiB" : b < 1073741824 ? (b / 1048576).toFixed(1) + " MiB" : (b / 1073741824).toFixed(2) + " GiB";
const rate = b => { const bits = 8 * b; return bits < 1e6 ? (bits / 1e3).toFixed(0) + " kbit/s" : bits < 1e9 ? (bits / 1e6).toFixed(1) + " Mbit/s" : (bits / 1e9).toFixed(2) + " Gbit/s"; };
const time = t => t < 600 ? t.toFixed(1) + " s" : t < 36000 ? Math.floor(t / 60) + ":" + String(Math.floor(t % 60)).padStart(2, "0") + " min" : (t / 3600).toFixed(2) + " h";
// The last place in a sorted list that is not after x.
const place = (list, x) => { let lo = 0, hi = list.length; while (lo < hi) { const mid = lo + hi >> 1; if (list[mid] <= x) lo = mid + 1; else hi = mid; } return lo - 1; };

// ---- time, theme and who listens
let now = END, playing = null;
const onTime = [], onTheme = [];
function setTime(t, fromSlider) {
  now = clamp(t, 0, END);
  if (!fromSlider) $("slider").value = now;
  for (const f of onTime) f();
}
let dark = matchMedia("(prefers-color-scheme: dark)").matches;
function setTheme(value) {
  dark = value;
  document.documentElement.classList.toggle("dark", dark);
  for (const f of onTheme) f();
}

// ---- colours
const hex = c => [1, 3, 5].map(i => parseInt(c.slice(i, i + 2), 16));
const ramp = stops => { const s = stops.map(hex); return x => { const y = clamp(x, 0, 1) * (s.length - 1), i = Math.min(Math.floor(y), s.length - 2), f = y - i; return s[i].map((c, k) => c + (s[i + 1][k] - c) * f); }; };
const gradient = f => "linear-gradient(90deg," + [0, .2, .4, .6, .8, 1].map(x => `rgb(${f(x).map(Math.round)})`).join(",") + ")";
const viridis = ramp(["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"]);
let fire, glow;
function setRamps() {
  fire = dark ? ramp(["#1d232c", "#5b3a1d", "#c2650f", "#f59e0b", "#fff1a8"]) : ramp(["#f1f1ec", "#fde3b0", "#f5a524", "#dd5a12", "#8f1d14"]);
  glow = dark ? ramp(["#1d232c", "#2f3566", "#5a60c9", "#8b93ff", "#d9dcff"]) : ramp(["#f1f1ec", "#d6d6f7", "#9b96ee", "#4f46e5", "#29217f"]);
}

// ---- the head
function head() {
  const pass = S.outcome === "pass";
  document.title = `${S.scenario} · ${pass ? "pass" : S.outcome}`;
  $("name").textContent = S.scenario;
  $("claim").textContent = D.claim;
  $("seed").textContent = `seed ${S.seed} · ${time(END)} simulated · ${whole(N)} peers · ${whole(D.pieces)} pieces`;
  $("verdict").textContent = pass ? "PASS" : "FAIL";
  $("verdict").classList.toggle("bad", !pass);
  const tile = (value, unit, what, share) => {
    const t = make("div", { className: "tile" }, make("b", {}, value, unit ? make("small", {}, " " + unit) : ""), make("span", { textContent: what }));
    if (share !== undefined) { const i = make("i"); i.style.width = 100 * clamp(share, 0, 1) + "%"; t.append(make("div", { className: "meter" }, i)); }
    $("tiles").append(t);
  };
  if (S.bound) tile(S.efficiency.toFixed(3), "", "efficiency: bound over time", S.efficiency);
  if (S.completion_seconds) tile(S.completion_seconds.last.toFixed(1), "s", S.bound ? `last completion; ≥ ${S.bound.seconds.toFixed(1)} s possible` : "last completion", S.bound ? S.efficiency : undefined);
  tile(whole(S.completed), "of " + whole(S.peers), "leechers complete", S.completed / Math.max(S.peers, 1));
  tile(percent(S.utilisation.up), "", "of the uplinks in use", S.utilisation.up);
  tile(S.jain.toFixed(3), "", "fairness (Jain)", S.jain);
  tile(percent(S.overhead), "", "wire bytes beyond the content");
  const line = (text, measured, kind) => $("checks").append(make("p", { className: kind }, text + " ", make("em", { textContent: measured })));
  for (const c of S.expectations) line(`${c.name} ${c.expected}`, c.measured, c.met ? "" : "bad");
  for (const v of S.violations.filter(v => !v.startsWith("expectation:"))) line(v, "", "bad");
  if (!pass) for (const e of D.extinct.slice(0, 8)) line(e, "", "bad");
  for (const v of S.vacuous) line(v, "", "vacuous");
  const fact = (name, value, code) => $("facts").append(make("dt", { textContent: name }), make("dd", {}, code ? make("code", { textContent: value }) : value));
  fact("settings", D.settings);
  if (D.bound_text) fact("lower bound", `${S.bound.seconds.toFixed(1)} s, set by ${D.bound_text}`);
  fact("packets", `${whole(S.packets.sent)} sent, ${whole(S.packets.delivered)} delivered, ${whole(S.packets.dropped)} dropped`);
  fact("oracles", Object.entries(S.oracles).map(([name, n]) => `${name} ${whole(n)}`).join(", "));
  if (S.tracker.announces) fact("tracker", `${whole(S.tracker.announces)} announces, ${whole(S.tracker.answered)} answered; ${whole(S.tracker.useful)} of ${whole(S.tracker.named)} named peers were of use`);
  fact("wall time", `${S.wall_seconds.toFixed(1)} s, ${(END / Math.max(S.wall_seconds, 1e-3)).toFixed(1)} simulated seconds in each`);
  fact("digest", S.digest, true);
  fact("again", `sim ${S.scenario} --seed ${S.seed}`, true);
}

// ---- who was there
const isThere = (peer, t) => peer.lives.some(([from, until]) => from <= t && (until === null || t < until));
function population() {
  const kinds = [[], [], [], []];
  for (const t of D.at) {
    const n = [0, 0, 0, 0];
    for (const p of D.peers) if (isThere(p, t)) n[p.role === "seeder" ? 0 : p.role !== "leecher" ? 3 : p.completed !== null && p.completed <= t ? 1 : 2]++;
    n.forEach((x, i) => kinds[i].push(x));
  }
  return kinds;
}
const [SEEDERS, COMPLETE, LOADING, OTHERS] = population();

// ---- charts
const charts = [];
// A few words for a fault: what befalls the network begins with its kind.
const caption = f => f.host === "network" ? f.what.split(" of ")[0] : `${f.host} ${f.what}`.slice(0, 36);
// The stretches of time in which something lasts, without overlaps: a veil over a veil would look like more.
function merged(faults) {
  const all = [];
  for (const f of faults.filter(f => f.until !== undefined).sort((a, b) => a.at - b.at)) {
    const last = all.at(-1);
    if (last && f.at <= last.until) last.until = Math.max(last.until, f.until); else all.push({ at: f.at, until: f.until });
  }
  return all;
}
function marks(extra = []) {
  const line = (u, x, colour, dash, label, below = 12) => {
    const { ctx, bbox } = u, px = devicePixelRatio;
    const at = Math.round(u.valToPos(x, "x", true));
    if (at < bbox.left - 1 || at > bbox.left + bbox.width + 1) return;
    ctx.save(); ctx.strokeStyle = ctx.fillStyle = colour; ctx.lineWidth = px * 1.5; ctx.setLineDash(dash.map(d => d * px));
    ctx.beginPath(); ctx.moveTo(at, bbox.top); ctx.lineTo(at, bbox.top + bbox.height); ctx.stroke();
    if (label) { ctx.font = `${11 * px}px system-ui, sans-serif`; ctx.textAlign = at > bbox.left + bbox.width / 2 ? "right" : "left"; ctx.fillText(label, at + (ctx.textAlign === "right" ? -5 : 5) * px, bbox.top + below * px); }
    ctx.restore();
  };
  // What lasts is a veil over the time that it takes.
  const veil = (u, f) => {
    const { ctx, bbox } = u, left = Math.max(u.valToPos(f.at, "x", true), bbox.left), right = Math.min(u.valToPos(f.until, "x", true), bbox.left + bbox.width);
    ctx.save(); ctx.fillStyle = css("--bad") + "1f"; ctx.fillRect(left, bbox.top, Math.max(right - left, 0), bbox.height); ctx.restore();
  };
  const veiled = merged(D.faults);
  return { hooks: { drawClear: u => { for (const f of veiled) veil(u, f); }, draw: u => {
    let last = -1e9;
    for (const f of D.faults) { if (u.valToPos(f.at, "x", true) - last > 2) line(u, f.at, css("--bad"), [4, 4], D.faults.length <= 3 ? caption(f) : "", 26); last = u.valToPos(f.at, "x", true); }
    for (const m of extra) line(u, m.at, css(m.colour), [2, 3], m.label);
    line(u, now, css("--accent"), []);
  } } };
}
function chart(id, lines, format, extra, max) {
  const box = $(id), build = () => {
    box.replaceChildren();
    const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const series = lines.map(l => ({ label: l.label, stroke: css(l.colour), width: l.width ?? 1.75, fill: l.fill && css(l.colour) + (dark ? "33" : "26"), dash: l.dash, points: { show: false }, paths: l.step && uPlot.paths.stepped({ align: 1 }), value: (u, v, s, i) => i === null || v === null ? "–" : format(l.shown ? l.shown[i] : v) }));
    const u = new uPlot({
      width: box.clientWidth, height: 250, legend: { live: true }, padding: [10, 8, 0, 0],
      scales: { x: { time: false, range: [0, END] }, y: { range: (u, lo, hi) => [0, max ?? Math.max(hi * 1.06, 1e-9)] } },
      axes: [{ ...axis, values: (u, v) => v.map(x => x + " s") }, { ...axis, size: 72, ...(format === whole && { incrs: [1, 2, 5].flatMap(d => [0, 1, 2, 3, 4].map(e => d * 10 ** e)).sort((a, b) => a - b) }), values: (u, v) => v.map(x => format(x).replace(".0 ", " ")) }],
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      series: [{ label: "time", value: (u, v) => v === null ? "–" : time(v) }, ...series],
      plugins: [marks(extra)],
    }, [lines[0].x ?? D.at, ...lines.map(l => l.y)], box);
    // Without a pointer the legend tells of the slider's time.
    u.over.addEventListener("mouseleave", () => setTimeout(legend));
    u.over.addEventListener("click", e => setTime(u.posToVal(e.clientX - u.over.getBoundingClientRect().left, "x")));
    box.style.height = "auto";
    charts[id] = u; legend();
  };
  const legend = () => charts[id].setLegend({ idx: Math.max(place(charts[id].data[0], now), 0) });
  build(); onTheme.push(build);
  onTime.push(() => { charts[id].redraw(false, false); legend(); });
  new ResizeObserver(() => charts[id].setSize({ width: box.clientWidth, height: 250 })).observe(box);
}
function drawCharts() {
  const add = (...lists) => lists[0].map((_, i) => lists.reduce((sum, l) => sum + l[i], 0));
  const all = [];
  if (OTHERS.some(Boolean)) all.push({ label: "hostile and others", colour: "--warn", y: add(OTHERS, SEEDERS, COMPLETE, LOADING), shown: OTHERS, fill: true });
  all.push({ label: "downloading", colour: "--cyan", y: add(SEEDERS, COMPLETE, LOADING), shown: LOADING, fill: true },
    { label: "complete", colour: "--good", y: add(SEEDERS, COMPLETE), shown: COMPLETE, fill: true }, { label: "seeders", colour: "--accent", y: SEEDERS, fill: true });
  chart("population", all.map(l => ({ ...l, step: true })), whole);
  chart("throughput", [{ label: "possible", colour: "--muted", y: D.capacity, dash: [5, 4], width: 1.25, step: true }, { label: "sent", colour: "--accent", y: D.rates[0], fill: true }, { label: "received", colour: "--cyan", y: D.rates[1] }], rate);
  const done = D.peers.filter(p => p.role === "leecher" && p.completed !== null).map(p => p.completed).sort((a, b) => a - b);
  const x = [0, ...done, END], y = [0, ...done.map((_, i) => (i + 1) / Math.max(S.peers, 1)), done.length / Math.max(S.peers, 1)];
  $("cdf-note").textContent = S.bound ? `Share of the leechers. Nobody could have them all done before ${S.bound.seconds.toFixed(1)} s (${S.bound.term}).` : "Share of the leechers.";
  chart("cdf", [{ label: "complete", colour: "--good", x, y, fill: true, step: true, width: 2.25 }], v => percent(v, 0), S.bound ? [{ at: S.bound.seconds, colour: "--warn", label: "bound" }] : [], 1.02);
}

// ---- maps: rows of values over time, or a square of peers
function canvas(id, rows, cols, colour, tip, isTime) {
  const c = $(id), g = c.getContext("2d"), small = document.createElement("canvas");
  small.width = Math.max(cols, 1); small.height = Math.max(rows, 1);
  const fill = () => {
    const s = small.getContext("2d"), image = s.createImageData(small.width, small.height);
    for (let r = 0, k = 0; r < rows; r++) for (let q = 0; q < cols; q++, k += 4) { const [red, green, blue] = colour(r, q); image.data[k] = red; image.data[k + 1] = green; image.data[k + 2] = blue; image.data[k + 3] = 255; }
    s.putImageData(image, 0, 0); show();
  };
  const show = () => {
    const px = devicePixelRatio || 1, w = Math.round(c.clientWidth * px), h = Math.round(c.clientHeight * px);
    if (!w || !h) return;
    if (c.width !== w || c.height !== h) { c.width = w; c.height = h; }
    g.imageSmoothingEnabled = false; g.clearRect(0, 0, w, h); g.drawImage(small, 0, 0, w, h);
    if (!isTime) return;
    g.fillStyle = css("--bad");
    for (const f of D.faults) { g.fillRect(f.at / END * w - px, 0, 2 * px, 7 * px); if (f.until !== undefined) g.fillRect(f.at / END * w, 0, (Math.min(f.until, END) - f.at) / END * w, 2 * px); }
    g.fillStyle = css("--card"); g.fillRect(now / END * w - 2 * px, 0, 4 * px, h); g.fillStyle = css("--accent"); g.fillRect(now / END * w - px, 0, 2 * px, h);
  };
  const at = e => { const b = c.getBoundingClientRect(); return [clamp(Math.floor((e.clientY - b.top) / b.height * rows), 0, rows - 1), clamp((e.clientX - b.left) / b.width, 0, 1), e]; };
  c.addEventListener("pointermove", e => { const [r, x] = at(e); note(e, tip(r, isTime ? x * END : clamp(Math.floor(x * cols), 0, cols - 1))); });
  c.addEventListener("pointerleave", () => { $("tip").hidden = true; });
  if (isTime) { c.addEventListener("click", e => setTime(at(e)[1] * END)); onTime.push(show); }
  new ResizeObserver(show).observe(c);
  onTheme.push(fill);
  return fill;
}
function note(e, text) {
  const t = $("tip"); t.textContent = text; t.hidden = false;
  t.style.left = clamp(e.clientX + 14, 4, innerWidth - t.offsetWidth - 6) + "px"; t.style.top = clamp(e.clientY - t.offsetHeight - 12, 4, innerHeight) + "px";
}
// A column of a map is a stretch of time; samples are taken at its end.
const COLUMNS = Math.max(D.at.length, 1);
const sampleAt = column => clamp(place(D.at, (column + 1) / COLUMNS * END), 0, Math.max(D.at.length - 1, 0));
const SAMPLES = Array.from({ length: COLUMNS }, (_, column) => sampleAt(column));
const key = (id, ...inside) => $(id).replaceChildren(...inside);
const swatch = background => { const i = make("i"); i.style.background = background; return i; };
const dot = colour => { const u = make("u"); u.style.background = colour; return u; };
const name = i => D.peers[i]?.name ?? "?";

function drawPieces() {
  const most = Math.max(100, ...D.copies.map(row => row.reduce((a, b) => Math.max(a, b), 0)));
  const colour = (r, q) => { const copies = D.copies[r][SAMPLES[q]] ?? 0; return copies === 0 ? hex(dark ? "#57201f" : "#f3c1bd") : viridis(Math.sqrt((copies - 100) / Math.max(most - 100, 1))); };
  const each = D.pieces / Math.max(D.copies.length, 1);
  const fill = canvas("pieces", D.copies.length, COLUMNS, colour, (r, t) => {
    const from = Math.floor(r * each), to = Math.min(Math.floor((r + 1) * each), D.pieces) - 1, copies = (D.copies[r][clamp(place(D.at, t), 0, COLUMNS - 1)] ?? 0) / 100;
    return `${to > from ? `pieces ${from} to ${to}` : `piece ${from}`} at ${time(t)}: ${copies.toFixed(to > from ? 1 : 0)} ${copies === 1 ? "copy" : "copies"}`;
  }, true);
  const legend = () => key("pieces-key", "1 copy", swatch(gradient(x => viridis(Math.sqrt(x)))), `${whole(most / 100)} copies`, dot(dark ? "#57201f" : "#f3c1bd"), "nobody");
  fill(); legend(); onTheme.push(legend);
}
function drawQueues() {
  let way = 0;
  const colour = (r, q) => fire(Math.sqrt(D.queues[way][r][SAMPLES[q]] / Math.max(D.queue_limit[r], 1)));
  const fill = canvas("queues", N, COLUMNS, colour, (r, t) => `${name(r)} at ${time(t)}: ${bytes(D.queues[way][r][clamp(place(D.at, t), 0, COLUMNS - 1)] ?? 0)} of ${bytes(D.queue_limit[r])}`, true);
  const legend = () => key("queues-key", "empty", swatch(gradient(x => fire(Math.sqrt(x)))), make("span", { textContent: "full · a row is a peer, in the order of the scenario" }));
  fill(); legend(); onTheme.push(legend);
  modes("[data-way]", b => { way = Number(b.dataset.way); fill(); });
}
function modes(selector, chosen) {
  const all = [...document.querySelectorAll(selector)];
  for (const b of all) b.addEventListener("click", () => { for (const o of all) o.classList.toggle("on", o === b); chosen(b); });
}
function drawMatrix() {
  let mode = "now", next = 0, count = 0, shown = -1;
  const open = new Uint8Array(N * N), sum = new Float64Array(N * N);
  for (let i = 0; i < D.given.length; i += 3) sum[D.given[i] * N + D.given[i + 1]] += D.given[i + 2];
  const most = sum.reduce((a, b) => Math.max(a, b), 1);
  const replay = () => {
    if (now < shown) { open.fill(0); next = 0; count = 0; }
    for (shown = now; next < D.chokes.length && D.chokes[next] <= now; next += 4) {
      const cell = D.chokes[next + 1] * N + D.chokes[next + 2], to = 1 - D.chokes[next + 3];
      count += to - open[cell]; open[cell] = to;
    }
  };
  const colour = (r, q) => r === q ? hex(dark ? "#262d38" : "#e4e4df") : mode === "now" ? glow(open[r * N + q] ? .72 : 0) : glow(Math.sqrt(sum[r * N + q] / most));
  const fill = canvas("matrix", N, N, colour, (r, q) => r === q ? name(r) : mode === "now" ? `${name(r)} ${open[r * N + q] ? "serves" : "does not serve"} ${name(q)} at ${time(now)}` : `${name(r)} gave ${name(q)} ${bytes(sum[r * N + q])}`);
  const draw = () => {
    if (mode === "now") replay();
    fill();
    if (mode === "now") key("matrix-key", dot(`rgb(${glow(.72)})`), `${whole(count)} unchoked at ${time(now)} · rows serve columns` + (D.chokes_missed ? `; ${whole(D.chokes_missed)} changes found no room` : ""));
    else key("matrix-key", "nothing", swatch(gradient(x => glow(Math.sqrt(x)))), make("span", { textContent: `${bytes(most)} · rows gave to columns` }));
  };
  let asked = false;
  onTime.push(() => { if (mode === "now" && !asked) { asked = true; requestAnimationFrame(() => { asked = false; draw(); }); } });
  draw(); onTheme.push(draw);
  modes("[data-mode]", b => { mode = b.dataset.mode; draw(); });
}

// ---- the log
const KINDS = { arrival: "--cyan", piece: "--accent", complete: "--good", departure: "--muted", fault: "--bad", ban: "--warn" };
function drawLog() {
  const hidden = new Set(), log = $("log");
  const rows = D.events.map(e => {
    const u = make("u"); u.style.background = `var(${KINDS[e.kind]})`;
    const row = make("li", {}, make("time", { textContent: time(e.at) }), u, make("span", { textContent: e.host }), make("span", { textContent: e.what }));
    row.addEventListener("click", () => setTime(e.at));
    return row;
  });
  log.append(...rows);
  const times = D.events.map(e => e.at);
  const filter = () => { const word = $("search").value.trim().toLowerCase(); D.events.forEach((e, i) => { rows[i].hidden = rows[i].style.display = hidden.has(e.kind) || (word && !`${e.host} ${e.what}`.toLowerCase().includes(word)) ? "none" : ""; }); };
  for (const kind of Object.keys(KINDS).filter(k => D.events.some(e => e.kind === k))) {
    const b = make("button", { type: "button", className: "on", textContent: kind });
    b.addEventListener("click", () => { b.classList.toggle("on"); hidden.has(kind) ? hidden.delete(kind) : hidden.add(kind); filter(); });
    $("kinds").append(b);
  }
  $("search").addEventListener("input", filter);
  let current = null, before = rows.length;
  onTime.push(() => {
    const last = place(times, now);
    for (let i = Math.min(before, last + 1); i <= Math.max(before, last) && i < rows.length; i++) if (i >= 0) rows[i].classList.toggle("later", i > last);
    before = Math.max(last, 0);
    current?.classList.remove("current");
    current = rows[last];
    current?.classList.add("current");
    if (current && document.activeElement !== $("search")) log.scrollTop = current.offsetTop - log.clientHeight / 2;
  });
}

// ---- the bar at the bottom
function bar() {
  const slider = $("slider");
  slider.max = END;
  slider.addEventListener("input", () => setTime(Number(slider.value), true));
  onTime.push(() => {
    $("clock").textContent = time(now);
    const i = clamp(place(D.at, now), 0, D.at.length - 1);
    if (D.at.length) $("state").textContent = `${whole(COMPLETE[i])} complete · ${whole(LOADING[i])} downloading · ${rate(D.rates[0][i])}`;
  });
  slider.addEventListener("change", () => history.replaceState(null, "", "#t=" + now.toFixed(2)));
  const stop = () => { cancelAnimationFrame(playing); playing = null; $("play").textContent = "▶"; };
  $("play").addEventListener("click", () => {
    if (playing !== null) return stop();
    $("play").textContent = "❚❚";
    if (now >= END) setTime(0);
    // The whole run in twenty seconds.
    let before = performance.now();
    const step = at => { setTime(now + (at - before) / 20e3 * END); before = at; if (now >= END) stop(); else playing = requestAnimationFrame(step); };
    playing = requestAnimationFrame(step);
  });
  $("theme").addEventListener("click", () => { setTheme(!dark); });
  addEventListener("hashchange", () => fromHash());
}
function fromHash() {
  const t = /[#&]t=([\d.]+)/.exec(location.hash);
  setTime(t ? Number(t[1]) : END);
}

onTheme.push(setRamps);
setTheme(dark);
head(); drawCharts(); drawPieces(); drawMatrix(); drawQueues(); drawLog(); bar(); fromHash();
