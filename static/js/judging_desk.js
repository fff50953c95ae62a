// The desk: the one thing to do next has the focus, so Enter starts it.
document.querySelector("[data-autofocus]")?.focus();
