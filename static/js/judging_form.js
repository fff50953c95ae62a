// The form as an answer and back. Offsets, times and revision numbers are others' business.

/** Everything the annotator said, in the shape the server takes. */
export function read(form) {
  const fields = form.elements;
  const ratings = { left: {}, right: {} };
  for (const radio of form.querySelectorAll(".rating input:checked")) {
    const [side, dimension] = radio.name.split("_");
    ratings[side][dimension] = Number(radio.value);
  }
  return {
    preference: fields.preference.value || null,
    ratings,
    comment: fields.comment.value,
    flagged: fields.flagged.checked,
    skip_reason: fields.skip_reason.value,
    recognised_model: fields.recognised_model.checked,
  };
}

/** Put an answer back into the form. */
export function fill(form, answer) {
  const fields = form.elements;
  for (const radio of form.querySelectorAll(".rating input")) {
    const [side, dimension] = radio.name.split("_");
    radio.checked = answer.ratings[side]?.[dimension] === Number(radio.value);
  }
  for (const radio of fields.preference) radio.checked = radio.value === answer.preference;
  for (const name of ["comment", "skip_reason"]) fields[name].value = answer[name];
  for (const name of ["flagged", "recognised_model"]) fields[name].checked = answer[name];
}

/** What a person made of an answer, as text, to tell whether two are the same. */
export function substance({ preference, ratings, spans, comment, flagged, skip_reason: reason, recognised_model: knew }) {
  const ordered = (rated = {}) => Object.entries(rated).sort();
  const judged = (evidence = []) => evidence.map(({ id, verdict }) => [id, verdict]).sort();
  const marks = spans.map(({ side, start, end, type, severity, note, evidence, no_evidence: none }) => (
    [side, start, end, type, severity, note, judged(evidence), none ?? false]
  ));
  return JSON.stringify([
    preference || null, ordered(ratings.left), ordered(ratings.right), marks, comment, flagged, reason, knew,
  ]);
}

/** The first thing a judgment still lacks: a row or a field; null when it is complete. */
export function firstMissing(form) {
  const { preference, skip_reason: reason } = form.elements;
  if (preference.value === "cannot_judge") return reason.value.trim() ? null : reason;
  return [...form.querySelectorAll("[data-row]")].find((row) => !row.querySelector("input:checked")) ?? null;
}

/** How a row or field is called, for a sentence. */
export function nameOf(place) {
  return (place.querySelector("[data-row-name]") ?? place.labels[0]).textContent.trim();
}
