/* Send events from a web page: batched, retried, and the rest when the page is left.
 *
 *   import { Beckon } from "./send_event.js";
 *   const beckon = new Beckon("https://beckon.example.com", "bk_live_…");
 *   beckon.track("Product Viewed", { product_id: "prod_1" });
 *   beckon.identify("customer_12345", { first_name: "Ada" });
 *
 * The key can be read by every visitor: give it the scope events:write only, and a source of its own.
 */
const MOST = 50; // Events in one request.
const TRIES = 6;
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504]);

export class Beckon {
  constructor(url, key, { every = 2000 } = {}) {
    this.url = `${url}/v1/b`;
    this.key = key;
    this.every = every;
    this.queue = [];
    this.userId = null;
    this.anonymousId = remembered("beckon_visitor", () => crypto.randomUUID());
    // `visibilitychange` is the last thing a phone tells a page for sure.
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.sayGoodbye();
    });
  }

  track(event, properties = {}) {
    this.put({ type: "track", event, properties });
  }

  page(properties = {}) {
    this.put({ type: "page", properties: { url: location.href, title: document.title, ...properties } });
  }

  identify(userId, traits = {}) {
    this.userId = userId;
    this.put({ type: "identify", traits });
  }

  put(call) {
    // The id is made once: a retry can never become a second event.
    const stamp = { messageId: crypto.randomUUID(), timestamp: new Date().toISOString() };
    this.queue.push({ ...call, ...stamp, userId: this.userId, anonymousId: this.anonymousId });
    if (this.queue.length >= MOST) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), this.every);
  }

  /* Send what waits; resolves when the server has stored it or refused it for good. */
  async flush() {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.queue.length) {
      const batch = this.queue.splice(0, MOST);
      if (!(await this.send(batch))) {
        this.queue.unshift(...batch);
        return;
      }
    }
  }

  async send(batch) {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      let wait = Math.random() * Math.min(30, 2 ** attempt);
      try {
        const answer = await fetch(this.url, { method: "POST", body: this.body(batch), keepalive: true });
        if (answer.ok) return true;
        if (!RETRIED.has(answer.status)) {
          console.error("Beckon refused events", await answer.text());
          return true;
        }
        wait = Number(answer.headers.get("Retry-After")) || wait;
      } catch {
        // No connection: try again.
      }
      await new Promise((resume) => setTimeout(resume, wait * 1000));
    }
    return false;
  }

  /* A page that is left cannot wait for an answer; the browser sends a beacon after it is gone. */
  sayGoodbye() {
    while (this.queue.length) {
      const batch = this.queue.splice(0, MOST);
      if (!navigator.sendBeacon(this.url, this.body(batch))) {
        this.queue.unshift(...batch);
        return;
      }
    }
  }

  /* Text with the key inside: headers of our own would cost every request a preflight. */
  body(batch) {
    return JSON.stringify({ writeKey: this.key, sentAt: new Date().toISOString(), batch });
  }
}

function remembered(name, make) {
  try {
    const known = localStorage.getItem(name);
    if (known) return known;
    const made = make();
    localStorage.setItem(name, made);
    return made;
  } catch {
    return make(); // Storage is closed to this page.
  }
}
