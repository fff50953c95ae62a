// The form as an answer and back. Offsets, times and revision numbers are others' business.

/** Everything the annotator said, in the shape the server takes. */
export function read(form) {
  const fields = form.elements;
  const ratings = { left: {}, right: {} };
  for (const radio of form.querySelectorAll(".rating input:checked")) {
    const [side, dimension] = placeOf(radio);
    ratings[side][dimension] = Number(radio.value);
  }
  const acceptability = {};
  for (const radio of form.querySelectorAll(".acceptable input:checked")) {
    acceptability[placeOf(radio)[0]] = radio.value === "yes";
  }
  const preference = fields.preference.value || null;
  const sided = preference === "left" || preference === "right";
  return {
    preference,
    // Without a better side there is nothing that could be strong.
    strength: (sided && Number(fields.strength?.value)) || null,
    ratings,
    acceptability,
    comment: fields.comment.value,
    flagged: fields.flagged.checked,
    skip_reason: fields.skip_reason.value,
    recognised_model: fields.recognised_model?.checked ?? false,
    recognised_guess: fields.recognised_guess?.value ?? "",
    edit_reason: fields.edit_reason?.value ?? "",
  };
}

/** `left_some_dimension` is a side and a name, which may hold more of the same. */
function placeOf({ name }) {
  const at = name.indexOf("_");
  return [name.slice(0, at), name.slice(at + 1)];
}

/** Put an answer back into the form; work kept by an earlier visit may lack what was added since. */
export function fill(form, answer) {
  const fields = form.elements;
  for (const radio of form.querySelectorAll(".rating input")) {
    const [side, dimension] = placeOf(radio);
    radio.checked = answer.ratings[side]?.[dimension] === Number(radio.value);
  }
  for (const radio of form.querySelectorAll(".acceptable input")) {
    const given = answer.acceptability?.[placeOf(radio)[0]];
    radio.checked = given !== undefined && given === (radio.value === "yes");
  }
  for (const radio of fields.preference) radio.checked = radio.value === answer.preference;
  for (const radio of fields.strength ?? []) radio.checked = radio.value === String(answer.strength ?? "");
  for (const name of ["comment", "skip_reason", "recognised_guess", "edit_reason"]) {
    if (fields[name]) fields[name].value = answer[name] ?? "";
  }
  for (const name of ["flagged", "recognised_model"]) if (fields[name]) fields[name].checked = answer[name];
}

/** What a person made of an answer, as text, to tell whether two are the same. */
export function substance(answer) {
  const { preference, ratings, spans, comment, flagged, skip_reason: reason, recognised_model: knew } = answer;
  const { strength, acceptability, recognised_guess: guess } = answer;
  const ordered = (rated = {}) => Object.entries(rated).sort();
  const judged = (evidence = []) => evidence.map(({ id, verdict }) => [id, verdict]).sort();
  const marks = spans.map(({ side, start, end, type, severity, note, evidence, no_evidence: none }) => (
    [side, start, end, type, severity, note, judged(evidence), none ?? false]
  ));
  return JSON.stringify([
    preference || null, ordered(ratings.left), ordered(ratings.right), marks, comment, flagged, reason, knew,
    strength ?? null, ordered(acceptability), guess ?? "",
  ]);
}

/** The first thing a judgment still lacks: a row or a field; null when it is complete. */
export function firstMissing(form) {
  const { preference, skip_reason: reason } = form.elements;
  if (preference.value === "cannot_judge") return reason.value.trim() ? null : reason;
  return [...form.querySelectorAll("[data-row]:not([data-optional])")].find((row) => !row.querySelector("input:checked")) ?? null;
}

/** How a row or field is called, for a sentence. */
export function nameOf(place) {
  return (place.querySelector("[data-row-name]") ?? place.labels[0]).textContent.trim();
}
