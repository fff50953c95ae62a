// Work the server does not have yet, kept in this browser under a name that means nothing to anybody else.

const PREFIX = "tuneshift-judging-";

export function keep(name, work) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(work));
  } catch {
    // Without storage the page itself still holds the work, and leaving it is blocked.
  }
}

export function forget(name) {
  try {
    localStorage.removeItem(PREFIX + name);
  } catch {
    // What could not be stored need not be removed.
  }
}

/** What an earlier visit could not save, or null. */
export function waiting(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}
