/* Live events: asks for what is newer every two seconds and draws it. Everything that came from outside enters by
 * textContent. The page is complete without this script; it then shows what was new when it was loaded. */
const poll = JSON.parse(document.getElementById("live-poll").textContent);
const words = poll.words;
const list = document.getElementById("live-rows");
const template = document.getElementById("live-template");
const pause = document.getElementById("live-pause");
const state = document.getElementById("live-state");
const said = document.getElementById("live-said");
let cursor = poll.cursor;
let isPaused = false;
let isAsking = false;

function element(tag, text, css) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (css) made.className = css;
  return made;
}

function chip(one) {
  const made = element("span", "", `live-chip chip-${one.tone}`);
  made.title = one.title;
  if (one.trigger) made.append(element("b", one.trigger), " ");
  made.append(one.said);
  return made;
}

function link(text, url) {
  const made = element("a", text);
  made.href = url;
  return made;
}

function fact([name, value]) {
  const made = document.createElement("div");
  made.append(element("dt", name), element("dd", value));
  return made;
}

function fill(row, item) {
  const slot = (name) => item.querySelector(`[data-slot="${name}"]`);
  item.dataset.id = row.id;
  for (const name of ["time", "name", "customer", "source", "payload"]) slot(name).textContent = row[name];
  slot("time").title = row.at;
  slot("payload").hidden = !row.payload;
  slot("chips").replaceChildren(...row.chips.map(chip));
  slot("facts").replaceChildren(...row.facts.map(fact));
  slot("warnings").replaceChildren(...row.warnings.map((text) => element("li", `⚠ ${text}`)));
  const traces = row.chips
    .filter((one) => one.url)
    .map((one) => link(words.trace.replace("%s", one.trigger), one.url));
  slot("links").replaceChildren(...traces, ...row.links.map(([text, url]) => link(text, url)));
}

function known(id) {
  return [...list.children].find((item) => item.dataset.id === id);
}

/* Newest first. A row that is there already is drawn anew where it stands, open or closed as it is: its chips turn. */
function draw(rows) {
  for (const row of [...rows].reverse()) {
    const old = known(row.id);
    if (old && !row.id.startsWith("r")) {
      fill(row, old);
      continue;
    }
    old?.remove();
    const item = template.content.firstElementChild.cloneNode(true);
    fill(row, item);
    item.classList.add("live-new");
    list.prepend(item);
  }
  while (list.children.length > poll.rows) list.lastElementChild.remove();
  if (!rows.length) return;
  document.getElementById("live-none").hidden = true;
  const first = document.getElementById("live-first");
  if (first) {
    first.textContent = words.first;
    first.classList.add("sign-ok");
  }
}

function tell(text, css) {
  said.textContent = text;
  state.className = css;
}

async function ask() {
  if (isPaused || isAsking || document.visibilityState === "hidden") return;
  isAsking = true;
  try {
    const url = `${poll.url}${poll.url.includes("=") ? "&" : ""}after=${encodeURIComponent(cursor)}`;
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
    const found = await answer.json();
    if (isPaused) return;
    cursor = found.cursor;
    draw(found.rows);
    document.getElementById("live-rate").textContent = found.pulse;
    tell(found.is_sample ? words.sample : words.listening, "live-on");
  } catch {
    tell(words.lost, "live-lost");
  } finally {
    isAsking = false;
  }
}

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  pause.textContent = isPaused ? words.resume : words.pause;
  if (isPaused) tell(words.paused, "live-paused");
  else ask();
});

if (poll.is_newest) {
  pause.hidden = false;
  document.addEventListener("visibilitychange", ask);
  setInterval(ask, poll.seconds * 1000);
  ask();
}
