// Sending an answer, and telling apart "stored", "refused" and "nobody answered".

const TIMEOUT_MS = 20_000;
const LARGEST_KEPT_ALIVE = 60_000;

/** Post JSON; `status` 0 means no usable answer came, whatever the server did with the request. */
export async function post(url, body) {
  const text = JSON.stringify(body);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: text,
      keepalive: text.length < LARGEST_KEPT_ALIVE,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const data = await response.json().catch(() => null);
    return { ok: response.ok && Number.isInteger(data?.revision), status: response.ok && !data ? 0 : response.status, data };
  } catch {
    return { ok: false, status: 0, data: null };
  }
}

/** A key no other attempt has. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
