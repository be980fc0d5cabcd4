/* <trigger-preview>: beside the cards of a trigger, what it would have done: a sentence, a count, and people.

   Everything is asked of the server, which judges with the engine. A preview that fails or is slow changes nothing
   about saving. */

const DELAY = 400; // Milliseconds without a change before the server is asked.
const PATIENCE = 1000; // After so long it says what is happening.
const BAR = { width: 12, gap: 4, height: 48 };

const { make } = customElements.get("trigger-builder");

class TriggerPreview extends HTMLElement {
  connectedCallback() {
    this.builder = document.querySelector("trigger-builder");
    this.form = this.closest("form");
    if (!this.dataset.url || !this.builder?.doc) return;
    this.chosen = null;
    this.saved = this.querySelector(".preview-saved");
    this.status = make("p", { className: "preview-status", role: "status" });
    this.body = make("div", { className: "preview-body" });
    this.append(this.status, this.body);
    this.builder.addEventListener("trigger-changed", () => this.schedule());
    this.form.addEventListener("change", (event) => {
      if (!this.builder.contains(event.target)) this.schedule();
    });
    this.schedule(0);
  }

  t(key, holes) {
    return this.builder.t(key, holes);
  }

  number(value) {
    return (value ?? 0).toLocaleString(document.documentElement.lang);
  }

  clock(text) {
    return new Date(text).toLocaleString(document.documentElement.lang, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: document.querySelector(".beckon-zone")?.dataset.zone });
  }

  schedule(delay = DELAY) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), delay);
  }

  async ask() {
    const { conditions, actions } = this.builder.doc;
    this.running?.abort();
    if (conditions.length === 0) return this.say("preview_empty");
    const running = new AbortController();
    this.running = running;
    const patience = setTimeout(() => this.say("preview_slow", {}, true), PATIENCE);
    this.setAttribute("aria-busy", "true");
    const guards = Object.fromEntries([...new FormData(this.form)].filter(([name, value]) => typeof value === "string" && !["conditions", "actions", "csrfmiddlewaretoken"].includes(name)));
    guards.recheck = Boolean(this.form.elements.recheck?.checked);
    try {
      const answer = await fetch(this.dataset.url, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": this.form.elements.csrfmiddlewaretoken.value },
        body: JSON.stringify({ conditions, actions, guards, trigger: Number(this.dataset.trigger) || null, explain: this.chosen }),
        signal: running.signal,
      });
      if (answer.status === 429) return this.schedule(1000 * (Number(answer.headers.get("Retry-After")) || 2));
      if (!answer.ok) throw new Error(answer.status);
      this.show(await answer.json());
    } catch (error) {
      if (error.name !== "AbortError") this.say("preview_failed");
    } finally {
      clearTimeout(patience);
      if (this.running === running) this.removeAttribute("aria-busy");
    }
  }

  /* One sentence instead of the preview, or above the old one. */
  say(key, holes, keeps = false) {
    this.status.textContent = this.t(key, holes);
    if (keeps) return;
    this.saved?.remove();
    this.body.replaceChildren();
  }

  show(answer) {
    const open = this.builder.setProblems(answer.errors ?? {});
    this.builder.counts = answer.nodes ?? null;
    this.builder.broken = answer.broken ?? {};
    this.builder.trace = this.chosen === null ? null : (answer.trace ?? null);
    this.builder.drawTrace();
    const general = this.mark(answer.warnings ?? {});
    this.saved?.remove();
    this.status.textContent = open ? this.t(open === 1 ? "preview_open_one" : "preview_open", { n: open }) : "";
    this.body.replaceChildren(
      ...this.sentence(answer.sentence),
      ...this.warnings(general),
      ...(answer.backtest ? this.backtest(answer.backtest) : []),
      ...(this.chosen !== null && answer.guards?.length ? this.guards(answer.guards) : []),
      ...this.people(answer.samples ?? [], answer.withheld),
    );
    if (this.refocus !== undefined) this.body.querySelector(`[data-event="${this.refocus}"]`)?.focus();
    this.refocus = undefined;
  }

  heading(key) {
    return make("h3", {}, this.t(key));
  }

  sentence(said) {
    if (!said?.when) return [];
    const parts = [make("strong", {}, this.t("said_when")), ` ${said.when.replace(/^When /, "")}`];
    if (said.if?.length) parts.push(" ", make("strong", {}, this.t("said_if")), ` ${said.if.join(this.t("said_and"))}`);
    if (said.then?.length) parts.push(" ", make("strong", {}, this.t("said_then")), ` ${said.then.join(this.t("said_next"))}`);
    return [this.heading("plain_english"), make("p", { className: "preview-sentence" }, ...parts, ".")];
  }

  /* Each warning on its card; returns those that belong to none. */
  mark(found) {
    for (const old of this.builder.querySelectorAll(".builder-warning")) old.remove();
    return Object.entries(found).flatMap(([pointer, one]) => {
      const text = `⚠ ${one.message} ${one.hint ?? ""}`;
      const link = pointer && this.builder.resolve(pointer);
      const place = link && this.builder.places.find((known) => known.object === link.object);
      if (!place) return [text];
      place.notes.after(make("p", { className: "builder-warning" }, text));
      return [];
    });
  }

  warnings(texts) {
    return texts.length ? [make("ul", { className: "preview-warnings" }, ...texts.map((text) => make("li", {}, text)))] : [];
  }

  backtest(found) {
    const held = found.held_back ?? [];
    const tiles = [["would_fire", found.fired], ["customers", found.customers], ["held_back", held.reduce((sum, { n }) => sum + n, 0)]];
    return [
      this.heading("backtest"),
      make("div", { className: "preview-tiles" }, ...tiles.map(([word, n]) => make("div", {}, make("strong", {}, this.number(n)), this.t(word)))),
      this.bars(found.days ?? []),
      make("p", { className: "preview-axis" }, make("span", {}, this.t("days_ago", { n: found.days?.length ?? 14 })), make("span", {}, this.t("today"))),
      held.length ? make("ul", { className: "preview-held" }, ...held.map(({ code, label, n }) => make("li", { title: code }, this.t("held_by", { n: this.number(n), reason: label })))) : null,
      make("p", { className: "help" }, this.t(found.approximate ? "approximate" : "exact", { n: this.number(found.approximate ? found.sampled || found.events : found.events) })),
    ].filter(Boolean);
  }

  bars(days) {
    const space = "http://www.w3.org/2000/svg";
    const most = Math.max(...days, 1);
    const draw = (tag, attributes) => {
      const element = document.createElementNS(space, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    };
    const picture = draw("svg", { class: "preview-bars", role: "img", viewBox: `0 0 ${days.length * (BAR.width + BAR.gap)} ${BAR.height}`, "aria-label": this.t("bars", { days: days.join(", ") }) });
    days.forEach((n, index) => {
      const height = Math.max(1, Math.round((n / most) * BAR.height));
      picture.append(draw("rect", { x: index * (BAR.width + BAR.gap), y: BAR.height - height, width: BAR.width, height, rx: 2 }));
    });
    return picture;
  }

  people(samples, withheld) {
    if (withheld) return [this.heading("why"), make("p", { className: "help" }, withheld)];
    if (!samples.length) return [];
    const choose = (id) => {
      this.chosen = this.chosen === id ? null : id;
      this.refocus = id;
      this.schedule(0);
    };
    return [
      this.heading("why"),
      make("ul", { className: "preview-people" }, ...samples.map((one) => make("li", {}, make("button", { type: "button", "data-event": one.event_id, "data-outcome": one.outcome, "aria-pressed": String(this.chosen === one.event_id), onclick: () => choose(one.event_id) }, make("strong", {}, one.customer), make("time", { dateTime: one.at }, this.clock(one.at)), make("span", {}, one.text))))),
      make("p", { className: "help" }, this.t(this.chosen === null ? "why_help" : "why_chosen")),
      // In a tab of its own: what was typed here stays.
      ...(this.chosen !== null && this.dataset.testUrl ? [make("p", {}, make("a", { href: `${this.dataset.testUrl}?event=${this.chosen}`, target: "_blank" }, this.t("test_person")))] : []),
    ];
  }

  guards(lines) {
    const text = (one) => (one.until ? this.t("until", { text: one.text, until: this.clock(one.until) }) : one.text);
    return [this.heading("guards"), make("ul", { className: "preview-guards" }, ...lines.map((one) => make("li", { className: one.ok ? "sign-ok" : "sign-held" }, `${one.ok ? "✓" : "✗"} ${text(one)}`)))];
  }
}

customElements.define("trigger-preview", TriggerPreview);
