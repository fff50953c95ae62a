// Work the server does not have yet, kept in this browser under a name that means nothing to anybody else.

const PREFIX = "tuneshift-outbox-";

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

/** Leave nothing of anybody's work in this browser, for the next person who uses it. */
export function forgetAll() {
  try {
    for (const name of Object.keys(localStorage)) if (name.startsWith(PREFIX)) localStorage.removeItem(name);
    sessionStorage.clear();
  } catch {
    // Without storage there is nothing to leave.
  }
}
