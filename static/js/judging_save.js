// Saving: nothing is called saved before the server gave it a revision number, and nothing unsaved can be lost.
//
// Work waits in the browser's store until the server has it. One attempt is under way at a time; it keeps its key and its
// content until it is answered, so a retry can never be stored twice.

import { forget, keep } from "./judging_outbox.js";
import { newKey, post } from "./judging_post.js";

const DEBOUNCE_MS = 800;
const LONGEST_PAUSE_MS = 30_000;

/** `collect` returns the answer as it stands; `show(state, detail)` tells the annotator. */
export function createSaver({ token, outbox, revision, collect, show }) {
  let changes = 0;
  let stored = 0;
  let attempt = null;
  let failures = 0;
  let timer = 0;
  let sending = null;
  let blocked = false;

  const unsaved = () => changes > stored || attempt !== null;
  function touch() {
    changes += 1;
    blocked = false;
    remember(collect());
    if (!attempt) show("unsaved");
    plan(DEBOUNCE_MS);
  }

  /** Keep what is not stored yet; with the attempt under way, so that another page can take up the very same one. */
  function remember(answer) {
    keep(outbox, { base_revision: revision, answer, attempt, newer: changes > (attempt?.changes ?? 0) });
  }

  function plan(pause) {
    clearTimeout(timer);
    timer = setTimeout(send, pause);
  }

  /** Send what there is, one attempt after the other; resolves when there is nothing left or something stands in the way. */
  function send(kind = "draft") {
    sending ??= run(kind).finally(() => { sending = null; });
    return sending;
  }

  async function run(kind) {
    clearTimeout(timer);
    while (unsaved() || kind === "submit") {
      const current = attempt ?? begin(kind);
      show("saving", { submitting: current.kind === "submit" });
      const reply = await post(`/judge/${token}/${current.kind}`, current.body);
      if (!reply.ok) {
        refuse(reply);
        return;
      }
      accept(current, reply.data);
      if (current.kind === "submit") return;
    }
  }

  function begin(kind) {
    const answer = collect();
    attempt = { kind, changes, body: { ...answer, base_revision: revision, idempotency_key: newKey() } };
    remember(answer);
    return attempt;
  }

  function accept(current, data) {
    ({ revision } = data);
    stored = current.changes;
    attempt = null;
    failures = 0;
    if (!unsaved()) forget(outbox);
    show(current.kind === "submit" ? "submitted" : "saved", data);
  }

  function refuse(reply) {
    const gone = reply.status === 0 || reply.status === 401 || reply.status === 429 || reply.status >= 500;
    if (gone) {
      failures += 1;
      show("failed", { ...reply, retry });
      plan(Math.min(LONGEST_PAUSE_MS, 500 * 2 ** failures));
      return;
    }
    // The server looked at it and said no: sending the same again cannot help.
    attempt = null;
    blocked = true;
    show(reply.data?.current ? "stale" : "refused", { ...reply, keepMine, adopt });
  }

  function retry() {
    clearTimeout(timer);
    return send(attempt?.kind);
  }

  function keepMine(current) {
    ({ revision } = current);
    touch();
    return send();
  }

  /** Go on from what was saved elsewhere, which the page shows now. */
  function adopt(current) {
    ({ revision } = current);
    discard();
    blocked = false;
    show("saved", current);
  }

  async function submit() {
    blocked = false;
    if (sending) await sending;
    if (attempt) await send(attempt.kind);
    if (!attempt && !blocked) await send("submit");
  }

  /** Take up work an earlier visit could not save: the attempt it had under way first, then what came after. */
  function resume(kept) {
    revision = kept.base_revision;
    attempt = kept.attempt ? { ...kept.attempt, changes } : null;
    if (!attempt || kept.newer) changes += 1;
    send(attempt?.kind);
  }

  function discard() {
    changes = stored;
    attempt = null;
    forget(outbox);
  }

  addEventListener("online", () => { if (unsaved() && !blocked) retry(); });
  addEventListener("focus", () => { if (failures) retry(); });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden" && changes > stored && !blocked) send();
  });
  addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

  return { touch, submit, unsaved, resume, discard, flush: () => (blocked ? null : retry()) };
}
