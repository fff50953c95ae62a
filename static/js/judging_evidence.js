// Instances beside a marked passage: asked for once, shown in the order given, and what the annotator says of them.

import { drawPanel, fillPanel } from "./judging_evidence_view.js";

const AGAIN_MS = 2_500;
const TIMEOUT_MS = 30_000;

/** `show` fills a host inside the span dialog for a span with offsets; `answers` is what was said beside that span. */
export function createEvidence({ token, editable }) {
  const known = new Map();
  let current = null;
  let timer = 0;

  function show(host, span) {
    clearTimeout(timer);
    // What was picked in a dialog that was cancelled is gone: the span says what counts.
    current = {
      key: keyOf(span),
      span,
      host,
      verdicts: span.evidence && new Map(span.evidence.map(({ id, verdict }) => [id, verdict])),
      none: span.no_evidence ?? false,
      panel: drawPanel(host, { retry: () => load(current) }),
    };
    host.hidden = false;
    if (known.has(current.key)) fill(current);
    else load(current);
  }

  async function load(wanted) {
    clearTimeout(timer);
    wanted.panel.say("Looking for instances…");
    const { side, start, end } = wanted.span;
    const reply = await post(`/judge/${token}/evidence`, { side, start, end });
    if (wanted !== current) return;
    if (reply.status === 200 && Array.isArray(reply.data?.evidence)) {
      known.set(wanted.key, reply.data.evidence);
      fill(wanted);
    } else if (reply.status === 202) {
      wanted.panel.say(reply.data?.message ?? "The instances are not ready.", { retry: true });
      timer = setTimeout(() => { if (inView(wanted.host)) load(wanted); }, AGAIN_MS);
    } else {
      wanted.panel.say(words(reply), { retry: true });
    }
  }

  function fill(wanted) {
    const instances = known.get(wanted.key);
    wanted.verdicts ??= new Map(instances.filter((one) => one.verdict).map((one) => [one.id, one.verdict]));
    fillPanel(wanted.panel, {
      instances,
      quote: wanted.span.quote,
      verdicts: wanted.verdicts,
      none: wanted.none,
      editable,
      judge: (id, verdict) => wanted.verdicts.set(id, verdict),
      clear: (id) => wanted.verdicts.delete(id),
      setNone: (on) => { wanted.none = on; },
      opened: (id) => post(`/judge/${token}/evidence/${id}/opened`, {}),
    });
  }

  function answers(span) {
    if (current?.key !== keyOf(span)) return { evidence: span.evidence ?? [], no_evidence: span.no_evidence ?? false };
    const evidence = [...(current.verdicts ?? [])].map(([id, verdict]) => ({ id, verdict }));
    return { evidence, no_evidence: current.none };
  }

  return { show, answers };
}

const keyOf = ({ side, start, end }) => `${side} ${start} ${end}`;

const inView = (host) => host.isConnected && !host.hidden && !host.closest("dialog:not([open])");

function words({ status, data }) {
  if (status === 401) return "You are signed out. Sign in again in another tab, then look again.";
  if (status === 0 || status >= 500) return "The server did not answer. You can mark the passage without the instances.";
  return [data?.error?.message, data?.error?.remedy].filter(Boolean).join(" ") || "The instances cannot be shown.";
}

async function post(url, body) {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(body),
      keepalive: true,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: response.status, data: await response.json().catch(() => null) };
  } catch {
    return { status: 0, data: null };
  }
}
