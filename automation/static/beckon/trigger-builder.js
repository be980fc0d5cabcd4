/* <trigger-builder>: draws the JSON of a trigger's textareas as cards that read like sentences.

   The textareas stay the truth. The browser judges nothing: it draws what the page and the server say. */

const LISTS = ["conditions", "actions", "cancel_when"];
const MAX_GROUPS = 5;
const SETTLE = 800; // Milliseconds after the last key in a select.
const UNITS = { minutes: { minutes: 1, hours: 60, days: 1440 }, hours: { minutes: 1 / 60, hours: 1, days: 24 } };

const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const isPlain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const plainName = (text) => text.replace(/^(event\.data|event|profile\.traits|profile|traits)\./, "").replace(/\[\]/g, "").replace(/[_.]/g, " ");
const count = (number) => number.toLocaleString(document.documentElement.lang);
const step = (key) => String(key).replace(/~/g, "~0").replace(/\//g, "~1");

/* An element with properties or attributes. Texts are never parsed as HTML. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/* "50" is a number, "yes" a text, and "\"50\"" the text 50: what is shown reads back as what it was. */
function cast(text, isText) {
  const trimmed = text.trim();
  if (isText || trimmed === "") return isText ? text : undefined;
  if (/^-?(0|[1-9]\d{0,14})(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  if (trimmed === "true" || trimmed === "false") return trimmed === "true";
  if (/^["[{]/.test(trimmed)) {
    try { return JSON.parse(trimmed); } catch { return text; }
  }
  return text;
}

function say(value, isText) {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") return typeof value === "object" ? JSON.stringify(value) : String(value);
  return isText || cast(value, false) === value ? value : JSON.stringify(value);
}

const sayList = (items, isText) => items.map((item) => (typeof item === "string" && item.includes(",") ? JSON.stringify(item) : say(item, isText))).join(", ");

function castList(text, isText) {
  const parts = text.match(/"(?:[^"\\]|\\.)*"|[^,]+/g) ?? [];
  return parts.map((part) => part.trim()).filter(Boolean).map((part) => cast(part, isText && !part.startsWith('"')));
}

class Schema {
  constructor(schema) {
    this.definitions = schema.$defs;
    this.kinds = Object.fromEntries(["conditions", "actions"].map((list) => [list, schema[list].map((name) => schema.$defs[name])]));
  }

  /* A property with its reference and its "or null" taken away. */
  plain(property) {
    if (property.$ref) return { ...this.definitions[property.$ref.split("/").pop()], ...property, $ref: undefined };
    if (!property.anyOf || property["x-widget"]) return property;
    const some = this.plain(property.anyOf.find((one) => one.type !== "null"));
    return { ...some, ...property, anyOf: undefined, isOptional: true };
  }

  /* The definition that draws this node without losing anything; undefined when there is none. */
  kindOf(node, list) {
    return isPlain(node) ? this.kinds[list === "actions" ? list : "conditions"].find((kind) => this.fits(kind, node)) : undefined;
  }

  fits(kind, node) {
    const properties = kind.properties;
    return Object.entries(properties).every(([name, property]) => property.const === undefined || node[name] === property.const)
      && Object.entries(node).every(([name, value]) => properties[name] && this.holds(properties[name], value));
  }

  holds(property, value) {
    const shape = this.plain(property);
    if (value === null || shape["x-widget"] === "value") return !isPlain(value);
    if (shape.type === "array") {
      if (!Array.isArray(value)) return false;
      const items = this.plain(shape.items);
      if (items.discriminator) return true;
      return value.every((item) => (items.properties ? isPlain(item) && this.fits(items, item) : typeof item !== "object"));
    }
    if (shape.type === "object") return isPlain(value);
    return typeof value !== "object";
  }

  /* A new node: its kind, and what cannot be left out and has a first choice. */
  create(kind) {
    const node = {};
    for (const [name, property] of Object.entries(kind.properties)) {
      const shape = this.plain(property);
      if (shape.const !== undefined) node[name] = shape.const;
      else if (!kind.required?.includes(name)) continue;
      else if (shape.enum) node[name] = shape.enum[0];
      else if (shape.type === "array") node[name] = this.plain(shape.items).properties ? Array.from({ length: shape.minItems ?? 0 }, () => this.create(this.plain(shape.items))) : [];
    }
    return node;
  }
}

class TriggerBuilder extends HTMLElement {
  static make = make;

  connectedCallback() {
    this.areas = Object.fromEntries(LISTS.map((list) => [list, this.querySelector(`textarea[name=${list}]`)]));
    if (!this.areas.conditions || !this.areas.actions) return;
    this.words = read("editor-words");
    this.sources = read("editor-sources");
    this.schema = new Schema(read("editor-schema"));
    this.fallback = this.querySelector("fieldset");
    this.typed = new WeakMap(); // Object -> names of its fields in which a value of one's own is typed.
    this.touched = new WeakMap();
    this.opened = new Map(); // Pointer -> whether its further options are shown.
    this.problems = new Map(); // Object -> {name of its field, or "" for itself: problem}.
    this.canvas = make("div", { className: "builder-canvas" });
    this.live = make("div", { className: "builder-live", role: "status", "aria-live": "polite" });
    this.toggle = make("button", { type: "button", className: "builder-link builder-json", onclick: () => this.switchOver() });
    this.unreadable = make("p", { className: "errornote", hidden: true });
    this.append(this.canvas, this.unreadable, this.toggle, this.live);
    this.addEventListener("keydown", (event) => this.onKey(event));
    const problems = read("editor-errors") ?? {};
    this.wasSaved = Object.keys(problems).length > 0 || this.hasAttribute("data-checked");
    if (this.load()) this.setProblems(problems);
  }

  t(key, holes = {}) {
    return (this.words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => holes[name] ?? "");
  }

  /* Take over what the textareas say; false when that cannot be drawn. */
  load() {
    const doc = {};
    try {
      for (const list of LISTS) {
        doc[list] = JSON.parse(this.areas[list]?.value.trim() || "[]");
        if (!Array.isArray(doc[list])) throw new TypeError(this.t("not_a_list"));
      }
    } catch (error) {
      this.show(false);
      this.unreadable.textContent = this.t("unreadable", { why: error.message });
      this.unreadable.hidden = false;
      return false;
    }
    this.doc = doc;
    this.said = Object.fromEntries(LISTS.map((list) => [list, JSON.stringify(doc[list])]));
    this.unreadable.hidden = true;
    this.show(true);
    this.draw();
    return true;
  }

  show(isDrawn) {
    this.isDrawn = isDrawn;
    this.fallback.hidden = isDrawn;
    this.canvas.hidden = !isDrawn;
    this.toggle.textContent = this.t(isDrawn ? "edit_as_json" : "edit_as_cards");
  }

  switchOver() {
    if (!this.isDrawn) return void (this.load() && this.tell());
    this.show(false);
    this.areas.conditions.focus();
  }

  /* Keep the textareas in step; a list that was not touched keeps its text. */
  commit() {
    for (const list of LISTS) {
      const text = JSON.stringify(this.doc[list]);
      if (text === this.said[list] || !this.areas[list]) continue;
      this.said[list] = text;
      this.areas[list].value = JSON.stringify(this.doc[list], null, 2);
    }
    this.tell();
  }

  tell() {
    this.dispatchEvent(new CustomEvent("trigger-changed", { bubbles: true }));
  }

  /* One field of one object: undefined leaves it out. */
  set(object, name, value, { redraw = false } = {}) {
    if (value === undefined) delete object[name];
    else object[name] = value;
    this.touched.set(object, (this.touched.get(object) ?? new Set()).add(name));
    delete this.problems.get(object)?.[name];
    if (redraw) this.draw();
    else this.mark();
    this.commit();
  }

  /* A structural change, then everything anew, with the focus at `focus`. */
  change(act, focus, words) {
    act();
    this.trace = this.counts = null;
    this.draw(focus);
    this.commit();
    if (words) this.live.textContent = words;
  }

  /* The innermost thing on the page that a pointer leads to: the object and the name of its field. */
  resolve(pointer) {
    const chain = [];
    let object = this.doc;
    for (const part of pointer.split("/").slice(1)) {
      const name = part.replace(/~1/g, "/").replace(/~0/g, "~");
      chain.push({ object, name });
      object = object[name];
      if (object === null || typeof object !== "object") break;
    }
    if (isPlain(object)) chain.push({ object, name: "" });
    return chain.reverse().find((link) => this.places.some((place) => place.object === link.object));
  }

  /* From the server: all of them after a save, otherwise those of fields that were touched. */
  setProblems(problems) {
    this.problems = new Map();
    let open = 0;
    for (const [pointer, problem] of Object.entries(problems)) {
      const place = this.resolve(pointer);
      if (!place) continue;
      open += 1;
      if (!this.wasSaved && !this.touched.get(place.object)?.has(place.name)) continue;
      const known = this.problems.get(place.object) ?? {};
      if (!this.problems.has(place.object)) this.problems.set(place.object, known);
      known[place.name] ??= problem;
    }
    this.mark();
    return open;
  }

  /* Draw problems on what stands there; nothing is built anew. */
  mark() {
    for (const place of this.places) {
      const mine = this.problems.get(place.object) ?? {};
      const wrong = Object.entries(mine).filter(([name]) => place.names.has(name) || (place.isWhole && !this.places.some((one) => one.object === place.object && one.names.has(name))));
      place.notes.replaceChildren(...wrong.map(([, problem]) => make("span", {}, `${problem.message} ${problem.hint ?? ""} `)));
      place.notes.hidden = wrong.length === 0;
      place.element.classList.toggle("is-wrong", wrong.length > 0);
      for (const field of place.fields) {
        const isWrong = Boolean(mine[field.name]);
        for (const control of field.controls) {
          for (const [attribute, value] of [["aria-invalid", "true"], ["aria-describedby", place.notes.id]]) {
            if (isWrong) control.setAttribute(attribute, value);
            else control.removeAttribute(attribute);
          }
        }
        field.element.classList.toggle("is-wrong", isWrong);
      }
    }
  }

  /* What a person's event met on each card, and how many events passed it. */
  drawTrace() {
    for (const element of this.canvas.querySelectorAll(".builder-card, .builder-row")) {
      if (!element.node) continue;
      const { pointer, isTop } = element.node;
      const verdict = element.querySelector(":scope > .builder-verdict");
      const line = this.trace?.[pointer];
      const counted = this.counts?.[pointer];
      const tally = element.querySelector(":scope > .builder-head > .builder-count");
      if (tally) tally.textContent = counted?.[0] && !this.trace ? this.passing(counted, this.broken?.[pointer]) : "";
      verdict.hidden = !line;
      delete element.dataset.verdict;
      if (!line) continue;
      const isMet = line.result === "met";
      const path = line.reached ? (isMet ? "passed" : "stopped") : isMet ? "unreached_pass" : "unreached_stop";
      const word = line.result === "broken" ? "broken" : isTop ? path : isMet ? "true" : "false";
      element.dataset.verdict = line.result === "broken" ? "broken" : !line.reached ? "unreached" : isMet !== this.isInverted(pointer) ? "good" : "bad";
      const holes = { verdict: this.t(`trace_${word}`), seen: line.seen, name: element.node.name };
      verdict.textContent = line.seen ? this.t(holes.name ? "saw_of" : "saw", holes) : holes.verdict;
    }
  }

  passing([reached, passed], broken) {
    const said = this.t("pass", { passed: count(passed), reached: count(reached) });
    return broken ? `${said} · ${this.t("unclear", { n: count(broken) })}` : said;
  }

  /* Inside "none of these" what is true speaks against it. */
  isInverted(pointer) {
    let object = this.doc;
    let isInside = false;
    for (const part of pointer.split("/").slice(1, -1)) {
      object = object?.[part];
      if (object?.type === "not") isInside = !isInside;
    }
    return isInside;
  }

  draw(focus) {
    const target = focus ?? document.activeElement?.closest?.("[data-focus]")?.dataset.focus;
    this.places = [];
    const { conditions, actions, cancel_when: cancel } = this.doc;
    const when = conditions.findIndex((node) => isPlain(node) && node.type === "event_match");
    this.whenEvent = when < 0 ? undefined : conditions[when].event_type;
    const rest = conditions.map((_, index) => index).filter((index) => index !== when);
    this.canvas.replaceChildren(
      this.section("when", when < 0 ? this.chooseEvent() : this.card("conditions", conditions, when, [when], "/conditions", 0, true)),
      this.section("if", ...this.list("conditions", conditions, rest, "/conditions", 0)),
      this.section("then", ...this.list("actions", actions, actions.map((_, index) => index), "/actions", 0)),
      ...(this.areas.cancel_when ? [this.section("unless", ...this.list("cancel_when", cancel, cancel.map((_, index) => index), "/cancel_when", 0))] : []),
    );
    this.mark();
    this.drawTrace();
    if (target) this.focusOn(target);
  }

  focusOn(target) {
    const found = [...this.canvas.querySelectorAll("[data-focus]")].find((one) => one.dataset.focus === target);
    found?.focus();
  }

  section(kind, ...body) {
    const list = kind === "then" ? "actions" : kind === "unless" ? "cancel_when" : "conditions";
    const element = make("section", { className: `builder-section builder-${kind}`, "aria-label": this.t(kind) },
      make("h2", {}, make("span", { className: "builder-word" }, this.t(kind)), ` ${this.t(`${kind}_help`)}`), ...body);
    if (kind !== "if") this.place(element, this.doc, new Set([list]), `/${list}`, element);
    return element;
  }

  /* Where problems of `object` are shown. */
  place(element, object, names, pointer, parent, isWhole = false) {
    const notes = make("p", { className: "builder-problem", id: `problem${pointer.replace(/\W/g, "-")}`, hidden: true });
    parent.append(notes);
    const place = { element, object, names, fields: [], notes, isWhole };
    this.places.push(place);
    return place;
  }

  chooseEvent() {
    const create = (value) => value && this.change(() => this.doc.conditions.unshift({ type: "event_match", event_type: value }));
    const field = this.known({ source: "event_types", hint: this.t("choose_event"), set: () => {}, settle: create, typing: this.doc, name: "event", label: this.t("event"), focus: "/conditions/0/event_type" });
    const note = this.doc.conditions.length ? make("p", { className: "help" }, this.t("no_event")) : null;
    return make("div", { className: "builder-card" }, make("div", { className: "builder-line" }, field, this.t("happens")), note);
  }

  list(list, items, shown, pointer, depth, joiner) {
    const cards = shown.map((index, place) => {
      const card = this.card(list, items, index, shown, pointer, depth);
      return joiner && place > 0 ? make("div", { className: "builder-joined" }, make("span", { className: "builder-joiner" }, joiner), card) : card;
    });
    return [...cards, this.adder(list, items, pointer, depth)];
  }

  card(list, items, index, shown, parent, depth, isWhen = false) {
    const node = items[index];
    const pointer = `${parent}/${index}`;
    const kind = typeof node === "string" && list === "cancel_when" ? null : this.schema.kindOf(node, list);
    const card = make("div", { className: "builder-card", tabIndex: -1, role: "group", "data-card": pointer, "data-focus": pointer });
    const title = kind === null ? this.t("event") : kind ? kind.title : this.t("unknown_kind");
    card.setAttribute("aria-label", title);
    const head = make("div", { className: "builder-head" });
    const isGroup = Boolean(kind?.["x-joiner"]);
    if (isGroup) head.append(this.groupKind(node, kind, pointer));
    else head.append(make("span", { className: "builder-title" }, kind?.["x-icon"] ? make("span", { className: "builder-icon", "aria-hidden": "true" }, kind["x-icon"]) : null, title));
    head.append(make("span", { className: "builder-count" }));
    if (!isWhen) head.append(this.buttons(items, index, shown, parent, title));
    else if (this.doc.conditions.length > 1) head.append(make("span", { className: "builder-buttons" }, this.removeButton(items, index, shown, parent, title)));
    card.append(head);
    card.moves = isWhen ? null : { items, index, shown, parent };
    if (kind === null) {
      const line = make("div", { className: "builder-line" }, this.known({ source: "event_types", value: node, typing: items, name: index, label: this.t("event"), focus: `${pointer}/`, set: (value) => {
        items[index] = value ?? "";
        this.commit();
      } }), this.t("happens"));
      card.append(line);
    } else if (!kind) {
      card.append(this.raw(items, index));
    } else if (isGroup) {
      card.classList.add("builder-group");
      card.append(...this.list(list, node.conditions, node.conditions.map((_, one) => one), `${pointer}/conditions`, depth + 1, kind["x-joiner"]));
      this.place(card, node, new Set(["", "conditions"]), pointer, card, true);
    } else {
      this.sentence(card, card, kind, node, pointer, node.event_type);
      if (kind["x-help"] && !isWhen) card.append(make("p", { className: "help" }, kind["x-help"]));
    }
    card.append(make("p", { className: "builder-verdict", hidden: true }));
    card.node = { pointer, isTop: depth === 0 && list === "conditions", name: this.subject(kind, node) };
    return card;
  }

  groupKind(node, kind, pointer) {
    const select = make("select", { "data-focus": `${pointer}/type`, "aria-label": this.t("group") },
      ...this.schema.kinds.conditions.filter((one) => one["x-joiner"]).map((one) => make("option", { value: one.properties.type.const, selected: one === kind }, one.title)));
    this.onChoice(select, () => {}, () => this.change(() => { node.type = select.value; }));
    return select;
  }

  buttons(items, index, shown, parent, title) {
    const place = shown.indexOf(index);
    const button = (word, symbol, to) => make("button", { type: "button", title: this.t(word), "data-focus": `${parent}/${index}/${word}`, "aria-label": this.t(`${word}_this`, { title }), disabled: to < 0 || to >= shown.length, onclick: () => this.move({ items, index, shown, parent }, to - place) }, symbol);
    return make("span", { className: "builder-buttons" }, button("move_up", "↑", place - 1), button("move_down", "↓", place + 1), this.removeButton(items, index, shown, parent, title));
  }

  removeButton(items, index, shown, parent, title) {
    return make("button", { type: "button", title: this.t("remove"), "data-focus": `${parent}/${index}/remove`, "aria-label": this.t("remove_this", { title }), onclick: () => {
      const next = shown[shown.indexOf(index) + 1] !== undefined ? `${parent}/${index}` : `${parent}/add`;
      this.change(() => items.splice(index, 1), next, this.t("removed", { title }));
    } }, "✕");
  }

  move({ items, index, shown, parent }, by) {
    const place = shown.indexOf(index) + by;
    const other = shown[place];
    if (other === undefined) return;
    this.change(() => { [items[index], items[other]] = [items[other], items[index]]; }, `${parent}/${other}`, this.t("moved", { place: place + 1 }));
  }

  onKey(event) {
    if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    const card = event.target.closest?.("[data-card]");
    if (!card?.moves) return;
    event.preventDefault();
    this.move(card.moves, event.key === "ArrowUp" ? -1 : 1);
  }

  /* A select that adds what is chosen: at once by the pointer, with Enter by the keyboard (whose arrows choose). */
  adder(list, items, pointer, depth) {
    const name = list === "actions" ? "add_action" : list === "cancel_when" ? "add_stop" : depth ? "add_to_group" : "add_condition";
    const select = make("select", { className: "builder-add", "aria-label": this.t(name), "data-focus": `${pointer}/add` }, make("option", { value: "" }, `+ ${this.t(name)}…`));
    const kinds = this.schema.kinds[list === "actions" ? "actions" : "conditions"].filter((kind) => !kind["x-joiner"] || depth < MAX_GROUPS);
    if (list === "cancel_when") select.append(make("option", { value: "event" }, this.t("an_event")));
    let group = select;
    kinds.forEach((kind, index) => { // They come sorted by heading.
      const heading = kind["x-kind"];
      if (heading && group.label !== heading) select.append(group = make("optgroup", { label: heading }));
      group.append(make("option", { value: index }, kind.title));
    });
    const button = make("button", { type: "button", className: "builder-go", hidden: true, "aria-label": this.t(name) }, this.t("add"));
    const add = () => {
      if (select.value === "") return;
      const kind = kinds[select.value];
      const node = kind ? this.schema.create(kind) : "";
      const place = `${pointer}/${items.length}`;
      this.change(() => items.push(node), place, this.t("added", { title: kind?.title ?? this.t("event") }));
      this.canvas.querySelector(`[data-card="${place}"]`)?.querySelector(".builder-line :is(select, input), .builder-head select")?.focus();
    };
    let isByKey = false;
    select.addEventListener("keydown", (event) => {
      isByKey = event.key !== "Enter";
      if (event.key === "Enter" && select.value !== "") { event.preventDefault(); add(); }
    });
    select.addEventListener("pointerdown", () => { isByKey = false; });
    select.addEventListener("change", () => {
      button.hidden = select.value === "";
      if (!isByKey) add();
    });
    button.addEventListener("click", add);
    return make("div", { className: "builder-adder" }, select, button);
  }

  /* A node of a kind that is not known here: its JSON, and nothing is lost. */
  raw(items, index) {
    const area = make("textarea", { value: JSON.stringify(items[index], null, 2), rows: 6, className: "beckon-json", "aria-label": this.t("edit_as_json"), spellcheck: false });
    const note = make("p", { className: "builder-problem", hidden: true });
    area.addEventListener("change", () => {
      try {
        const value = JSON.parse(area.value);
        this.change(() => { items[index] = value; });
      } catch (error) {
        note.textContent = this.t("unreadable", { why: error.message });
        note.hidden = false;
      }
    });
    return make("details", {}, make("summary", {}, this.t("edit_as_json")), area, note);
  }

  /* The sentence of `kind` with a field in every hole; what is not in it stands below. */
  sentence(card, parent, kind, node, pointer, event) {
    const line = make("div", { className: "builder-line" });
    const place = this.place(card, node, new Set([""]), pointer, parent, card === parent);
    const context = { kind, node, pointer, place, event };
    const drawn = new Set();
    for (const part of (kind["x-sentence"] ?? "").split(/(\{\w+\})/)) {
      const name = this.standIn(kind, node, part.match(/^\{(\w+)\}$/)?.[1]);
      if (!name) { if (part.trim()) line.append(make("span", {}, part.trim())); continue; }
      drawn.add(name);
      if (this.applies(kind, node, name)) line.append(this.field(context, name));
    }
    const more = [];
    const folded = []; // Names of what is in there.
    const below = [];
    for (const [name, property] of Object.entries(kind.properties)) {
      if (property.const !== undefined || drawn.has(name) || !this.applies(kind, node, name)) continue;
      const isBig = ["rows", "steps"].includes(property["x-widget"]) || property.type === "object";
      const isShown = isBig || kind.required?.includes(name) || property["x-when"];
      const field = this.field(context, name);
      const labelled = isBig && property["x-widget"] ? field : make("label", { className: "builder-labelled" }, make("span", {}, property.title), field, property.description ? make("span", { className: "help" }, property.description) : null);
      (isShown ? below : more).push(labelled);
      if (!isShown) folded.push(name);
    }
    const isUsed = folded.some((name) => node[name] !== undefined && node[name] !== null);
    const before = place.notes;
    if (line.childNodes.length) parent.insertBefore(line, before);
    for (const one of below) parent.insertBefore(one, before);
    if (more.length) parent.insertBefore(this.details(pointer, isUsed, more), before);
  }

  details(pointer, isUsed, fields) {
    const details = make("details", { className: "builder-more", open: this.opened.get(pointer) ?? isUsed }, make("summary", { "data-focus": `${pointer}/more` }, this.t("more")), ...fields);
    details.addEventListener("toggle", () => this.opened.set(pointer, details.open));
    return details;
  }

  /* Two fields may say the same in two units: the one that is filled in stands in the hole. */
  standIn(kind, node, name) {
    if (!name || (node[name] !== undefined && node[name] !== null)) return name;
    const other = Object.keys(kind.properties).find((one) => kind.properties[one]["x-instead-of"] === name && node[one] !== undefined && node[one] !== null);
    return other ?? name;
  }

  applies(kind, node, name) {
    const property = kind.properties[name];
    const isSet = node[name] !== undefined && node[name] !== null;
    if (property["x-instead-of"] && !isSet && node[property["x-instead-of"]] !== undefined) return false;
    if (property["x-lists-only"]) return isSet || /\[\]/.test(node.field ?? node.attribute ?? "");
    return isSet || Object.entries(property["x-when"] ?? {}).every(([ruler, values]) => values.includes(node[ruler] ?? kind.properties[ruler].default));
  }

  field(context, name) {
    const { kind, node, pointer, place } = context;
    const shape = this.schema.plain(kind.properties[name]);
    const at = `${pointer}/${step(name)}`;
    const rules = Object.values(kind.properties).some((one) => one["x-operator"] === name || one["x-when"]?.[name]) || ["event_field", "field", "attribute", "event_type"].includes(name);
    const set = (value, options) => this.set(node, name, value, { redraw: rules, ...options });
    const common = { shape, node, name, at, set, label: shape.title, value: node[name] ?? undefined, context };
    const body = this.control(common);
    const element = make("span", { className: "builder-field" }, ...[body].flat());
    const controls = [...element.querySelectorAll(":is(input, select, textarea)")].filter((one) => one.closest(".builder-field") === element);
    (controls[0] ?? element).dataset.field = at;
    place.names.add(name);
    place.fields.push({ name, element, controls });
    for (const [index, control] of controls.entries()) {
      control.dataset.focus ??= index ? `${at}#${index}` : at;
      if (!control.getAttribute("aria-label")) control.setAttribute("aria-label", shape.title ?? name);
      if (kind.required?.includes(name)) control.setAttribute("aria-required", "true");
    }
    return element;
  }

  control(one) {
    const { shape, value, set } = one;
    const widget = { rows: "items", steps: "items", days: "days", value: "operand" }[shape["x-widget"]];
    if (widget) return this[widget](one);
    if (shape.type === "object") return this.pairs(one);
    if (shape["x-unit"]) return this.duration(one);
    if (shape.enum || (shape.type === "boolean" && shape["x-labels"])) return this.options(one);
    if (shape.type === "boolean") return make("input", { type: "checkbox", checked: value ?? shape.default ?? false, onchange: (event) => set(event.target.checked) });
    if (shape.type === "array") return this.text({ ...one, value: sayList(value ?? shape.default ?? [], true), read: (text) => castList(text, true), wide: true });
    if (shape["x-source"]) return this.known({ ...one, source: shape["x-source"], typing: one.node, focus: one.at, isOptional: shape.isOptional || shape.default === "", hint: this.t("choose", { label: (shape.title ?? "").toLowerCase() }) });
    if (shape.type === "number" || shape.type === "integer") return this.text({ ...one, value: say(value ?? shape.default), read: (text) => cast(text, false), type: "number", step: shape.type === "integer" ? 1 : "any" });
    const isClock = shape.format === "time" && (value === undefined || /^\d\d:\d\d$/.test(value)) && value !== "24:00";
    const isDate = shape.format === "date" && (value === undefined || /^\d{4}-\d\d-\d\d$/.test(value));
    return this.text({ ...one, value: value ?? shape.default ?? "", read: (text) => text || undefined, type: isClock ? "time" : isDate ? "date" : "text", wide: (shape.maxLength ?? 0) > 100, isLong: (shape.maxLength ?? 0) > 2000 });
  }

  text({ value, read: parse, set, label, type = "text", wide = false, isLong = false, step: by }) {
    const input = isLong ? make("textarea", { rows: 3, value }) : make("input", { type, value, step: by });
    if (wide) input.classList.add("builder-wide");
    if (label) input.setAttribute("aria-label", label);
    input.addEventListener("input", () => set(parse(input.value), { redraw: false }));
    return input;
  }

  options({ shape, value, set, context }) {
    const values = (shape.enum ?? [false, true]).filter((one) => one === value || this.fitting(shape, one, context));
    const labels = shape["x-labels"] ?? {};
    const chosen = value ?? shape.default;
    const entries = values.map((one, index) => make("option", { value: index, selected: one === chosen }, labels[String(one)] ?? plainName(String(one))));
    if (chosen === undefined || chosen === null || !values.includes(chosen)) entries.unshift(make("option", { value: "", selected: true }, chosen === undefined || chosen === null ? "–" : String(chosen)));
    const select = make("select", {}, ...entries);
    this.onChoice(select, () => set(select.value === "" ? undefined : values[Number(select.value)], { redraw: false }), () => this.draw());
    return select;
  }

  /* Whether an operator suits what the field holds: as far as that is known, and changes of profile fields only. */
  fitting(shape, operator, context) {
    if (!shape["x-fits"]) return true;
    const path = context.node[this.pathOf(context.kind)] ?? "";
    const isProfile = context.kind.properties[this.pathOf(context.kind)]["x-source"] === "attributes" || path.startsWith("profile.");
    if (shape["x-changes"].includes(operator) && !isProfile) return false;
    const types = this.typesOf(context);
    return types.length === 0 || types.some((type) => shape["x-fits"][type]?.includes(operator));
  }

  /* Known values with how often they were seen, and "another…", which turns into a text field. */
  known({ source, value, set, settle, typing, name, label, hint, isOptional, focus, context }) {
    const offered = this.offered(source, context);
    const isTyped = this.typed.get(typing)?.has(name) || (offered.length === 0 && !value);
    if (isTyped) {
      const input = make("input", { type: "text", value: value ?? "", "aria-label": label, "data-focus": focus, placeholder: hint ?? "" });
      // Into the document at each key; what depends on it is drawn when the field is left.
      if (context) input.addEventListener("input", () => set(input.value.trim() || undefined, { redraw: false }));
      input.addEventListener("change", () => (settle ?? set)(input.value.trim() || undefined));
      return input;
    }
    const select = make("select", { "aria-label": label, "data-focus": focus });
    if (isOptional || !value) select.append(make("option", { value: "" }, isOptional ? this.t("any") : (hint ?? "…")));
    for (const one of offered) select.append(make("option", { value: one.value, selected: one.value === value }, this.nameOf(one)));
    if (value && !offered.some((one) => one.value === value)) select.append(make("option", { value, selected: true }, this.t("not_seen", { name: plainName(String(value)) })));
    select.append(make("option", { value: "\u0000" }, this.t("another")));
    const isOwn = () => select.value === "\u0000";
    this.onChoice(select, () => isOwn() || set(select.value || undefined, { redraw: false }), () => {
      if (isOwn()) this.typed.set(typing, (this.typed.get(typing) ?? new Set()).add(name));
      if (settle && !isOwn()) settle(select.value);
      else this.draw(isOwn() ? focus : undefined);
    });
    return select;
  }

  /* The pointer chooses once; the keyboard chooses with every key. What is built anew waits until it has settled. */
  onChoice(select, now, later) {
    let isByKey = false;
    let timer;
    const settle = () => { clearTimeout(timer); timer = undefined; later(); };
    select.addEventListener("keydown", (event) => {
      isByKey = event.key !== "Enter";
      if (event.key !== "Enter" || !timer) return;
      event.preventDefault(); // Or the browser would send the form.
      settle();
    });
    select.addEventListener("pointerdown", () => { isByKey = false; });
    select.addEventListener("change", () => {
      clearTimeout(timer);
      now();
      if (isByKey) timer = setTimeout(settle, SETTLE);
      else later();
    });
    select.addEventListener("blur", () => timer && setTimeout(settle));
  }

  nameOf(one) {
    const label = one.label ?? plainName(one.value);
    return one.seen === undefined ? label : this.t("seen", { name: label, seen: count(one.seen) });
  }

  offered(source, context) {
    if (source !== "event_fields") return this.sources[source] ?? [];
    const fields = this.sources.event_fields;
    const own = fields[context?.event ?? this.whenEvent];
    return own ?? [...new Map(Object.values(fields).flat().map((one) => [one.value, one])).values()];
  }

  duration({ shape, value, set, label }) {
    const sizes = UNITS[shape["x-unit"]];
    const amount = value ?? shape.default ?? undefined;
    const fitting = Object.keys(sizes).filter((unit) => amount && Math.abs(amount / sizes[unit] - Math.round(amount / sizes[unit])) < 1e-9 && amount / sizes[unit] >= 1);
    const unit = fitting.at(-1) ?? shape["x-unit"];
    const shown = amount === undefined || amount === null ? "" : fitting.length ? Math.round(amount / sizes[unit]) : amount;
    const number = make("input", { type: "number", min: 0, step: "any", value: String(shown), "aria-label": label });
    const units = make("select", { "aria-label": this.t("unit_of", { label }) }, ...Object.keys(sizes).map((one) => make("option", { value: one, selected: one === unit }, this.t(one))));
    const store = () => {
      const size = sizes[units.value];
      const typed = number.value === "" ? undefined : Number(number.value);
      set(typed === undefined ? undefined : size < 1 ? typed / Math.round(1 / size) : typed * size, { redraw: false });
    };
    number.addEventListener("input", store);
    units.addEventListener("change", store);
    return [number, units];
  }

  days({ shape, value, set, label, at }) {
    const chosen = new Set(value ?? shape.default ?? []);
    return make("span", { className: "builder-days", role: "group", "aria-label": label }, ...Object.entries(shape["x-labels"]).map(([day, name]) => {
      const box = make("input", { type: "checkbox", checked: chosen.has(Number(day)), "data-focus": `${at}#${day}`, "aria-label": name });
      box.addEventListener("change", () => {
        if (box.checked) chosen.add(Number(day));
        else chosen.delete(Number(day));
        set([...chosen].sort((a, b) => a - b), { redraw: false });
      });
      return make("label", {}, box, make("span", { title: name }, name.slice(0, 3)));
    }));
  }

  /* The right side of an operator: nothing, one value, two, a list or a time, cast by what the field holds. */
  operand(one) {
    const { shape, node, value, set, label, context } = one;
    const operator = this.schema.plain(context.kind.properties[shape["x-operator"]]);
    const ruled = operator["x-operands"]?.[node[shape["x-operator"]]] ?? "scalar";
    const types = this.typesOf(context);
    const isText = ruled === "text" || (types.length === 1 && types[0] === "text" && ["scalar", "list"].includes(ruled));
    if (ruled === "none") return [];
    if (ruled === "list") return this.text({ set, label, value: sayList([value ?? []].flat(), isText), read: (text) => castList(text, isText), wide: true });
    if (ruled === "duration") return this.duration({ ...one, shape: { "x-unit": "hours" } });
    if (ruled === "pair") {
      const pair = Array.isArray(value) ? [...value] : [value, undefined];
      return [0, 1].flatMap((index) => [index ? this.t("and") : null, this.text({ label, value: say(pair[index]), read: (text) => cast(text, false), set: (part) => {
        pair[index] = part;
        set(pair.map((item) => item ?? null), { redraw: false });
      } })]).filter((item) => item !== null);
    }
    if (types.length === 1 && types[0] === "boolean" && ruled === "scalar") {
      return this.options({ shape: { enum: [true, false], "x-labels": { true: this.t("yes"), false: this.t("no") } }, value, set: (chosen) => set(chosen, { redraw: false }) });
    }
    const isDate = ruled === "date" && (value === undefined || /^\d{4}-\d\d-\d\d$/.test(String(value)));
    return this.text({ set, label, value: isText && typeof value === "string" ? value : say(value, isText), read: (text) => (text === "" ? undefined : cast(text, isText)), type: isDate ? "date" : "text" });
  }

  /* Name of the property that holds the path which a comparison looks at. */
  pathOf(kind) {
    const names = Object.keys(kind.properties).filter((one) => kind.required?.includes(one));
    return names.find((one) => ["event_fields", "attributes"].includes(kind.properties[one]["x-source"]));
  }

  subject(kind, node) {
    const path = kind && node[this.pathOf(kind)];
    return typeof path === "string" ? plainName(path) : "";
  }

  typesOf({ kind, node, event }) {
    const name = this.pathOf(kind);
    const source = kind.properties[name]?.["x-source"];
    return this.offered(source, { event }).find((one) => one.value === node[name])?.types ?? [];
  }

  /* Names and values of one's own, such as the traits that an action writes. */
  pairs({ shape, value, set, at, label }) {
    const entries = Object.entries(value ?? {});
    const box = make("span", { className: "builder-pairs" });
    const store = () => set(Object.fromEntries(entries.filter(([name]) => name)), { redraw: false });
    entries.forEach((entry, index) => {
      const name = make("input", { type: "text", value: entry[0], "aria-label": this.t("name_of", { label }), "data-focus": `${at}/${index}`, oninput: () => { entry[0] = name.value.trim(); store(); } });
      const text = make("input", { type: "text", value: say(entry[1]), className: "builder-wide", "aria-label": this.t("value_of", { label }), oninput: () => { entry[1] = cast(text.value, false) ?? ""; store(); } });
      const drop = make("button", { type: "button", title: this.t("remove"), "aria-label": this.t("remove_this", { title: entry[0] }), onclick: () => set(Object.fromEntries(entries.filter((other) => other !== entry)), { redraw: true }) }, "✕");
      box.append(make("span", { className: "builder-row" }, name, " → ", text, drop));
    });
    const add = make("input", { type: "text", placeholder: this.t("new_name"), "aria-label": this.t("new_name_of", { label }), "data-focus": `${at}/new`, onchange: () => {
      if (add.value.trim()) this.change(() => set({ ...value, [add.value.trim()]: "" }), `${at}/${entries.length}`);
    } });
    box.append(make("span", { className: "builder-row" }, add));
    return box;
  }

  /* Rows of a comparison, or the steps of a sequence: sentences inside a sentence. */
  items({ shape, node, name, at, context }) {
    const kind = this.schema.plain(shape.items);
    const isSteps = shape["x-widget"] === "steps";
    const rows = node[name] ?? [];
    const box = make("div", { className: isSteps ? "builder-steps" : "builder-rows" });
    rows.forEach((row, index) => {
      const pointer = `${at}/${index}`;
      const line = make("div", { className: "builder-row", tabIndex: -1, "data-focus": pointer });
      const word = isSteps ? `${index + 1}.` : this.t(index ? "and" : "where");
      this.sentence(line, line, kind, row, pointer, row.event_type ?? context.event);
      line.querySelector(".builder-line").prepend(make("span", { className: "builder-where" }, word));
      const title = isSteps ? this.t("step_n", { n: index + 1 }) : this.t("row_n", { n: index + 1 });
      const shown = rows.map((_, place) => place);
      line.querySelector(".builder-line").append(isSteps ? this.buttons(rows, index, shown, at, title) : make("span", { className: "builder-buttons" }, this.removeButton(rows, index, shown, at, title)));
      line.append(make("p", { className: "builder-verdict", hidden: true }));
      line.node = { pointer, isTop: false, name: this.subject(kind, row) };
      box.append(line);
    });
    const words = isSteps ? this.t("add_step") : this.t(rows.length ? "add_row" : "add_first_row");
    box.append(make("button", { type: "button", className: "builder-link", "data-focus": `${at}/add`, onclick: () => {
      this.change(() => { node[name] = [...rows, this.schema.create(kind)]; }, `${at}/${rows.length}/${isSteps ? "event_type" : Object.keys(kind.properties).find((one) => kind.properties[one]["x-source"])}`);
    } }, `+ ${words}`));
    return box;
  }
}

customElements.define("trigger-builder", TriggerBuilder);
