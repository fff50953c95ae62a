// How tokens are shown: read from the controls, kept in the address, told to whoever draws.

const USUAL = { measure: "shift_class", unshifted: 1, marginal: 3, mode: "reading", chart: "measure", pins: [] };
const listeners = [];

export const state = { ...USUAL };

/** Call `listener` with the names of what changed, after every change. */
export function onChange(listener) {
  listeners.push(listener);
}

/** Whether classes are drawn with the thresholds under which nearness to a border is known. */
export function usualThresholds() {
  return state.unshifted === USUAL.unshifted && state.marginal === USUAL.marginal;
}

/** The thresholds as a query string, empty when they are the usual ones. */
export function thresholdQuery() {
  return usualThresholds() ? "" : `unshifted=${state.unshifted}&marginal=${state.marginal}`;
}

function remember() {
  const query = new URLSearchParams(location.search);
  const said = { measure: state.measure, mode: state.mode, chart: state.chart };
  for (const [name, value] of Object.entries(said)) {
    if (value === USUAL[name]) query.delete(name);
    else query.set(name, value);
  }
  for (const name of ["unshifted", "marginal"]) {
    if (usualThresholds()) query.delete(name);
    else query.set(name, state[name]);
  }
  if (state.pins.length) query.set("pin", state.pins.join(","));
  else query.delete("pin");
  // Commas stay readable in a link that people send each other.
  const words = query.toString().replaceAll("%2C", ",");
  history.replaceState(history.state, "", location.pathname + (words ? `?${words}` : "") + location.hash);
}

/** Change some of it: `change({ mode: "tokenizer" })`. */
export function change(part) {
  Object.assign(state, part);
  remember();
  for (const listener of listeners) listener(new Set(Object.keys(part)));
}
