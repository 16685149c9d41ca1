// Choices that plain HTML does not have. Without this script, everything is shown.
"use strict";

function addSelect(place, label, names) {
  const select = document.createElement("select"), text = document.createElement("label");
  for (const [value, name] of names) select.add(new Option(name, value));
  text.append(`${label} `, select);
  place.append(text);
  return select;
}

// <p data-choose="list"> gets a select with the values of all elements with data-list, and hides all but the chosen one;
// with data-with, a second select names one to show beside it.
for (const place of document.querySelectorAll("[data-choose]")) {
  const kind = place.dataset.choose;
  const items = [...document.querySelectorAll(`[data-${kind}]`)];
  const names = [...new Set(items.map((item) => item.dataset[kind]))];
  if (names.length < (place.dataset.with ? 3 : 2)) continue; // nothing to choose from
  const options = names.map((name) => [name, name]);
  const selects = [addSelect(place, place.dataset.label, [["", place.dataset.all], ...options])];
  if (place.dataset.with) {
    selects.push(addSelect(place, place.dataset.with, options));
    selects[1].value = place.dataset.default;
  }
  const status = document.createElement("output");
  place.append(status);
  place.addEventListener("change", () => {
    const chosen = selects.map((select) => select.value);
    for (const item of items) {
      item.hidden = chosen[0] !== "" && !chosen.includes(item.dataset[kind]);
      if (chosen[0] !== "" && "open" in item) item.open = true;
    }
    status.textContent = chosen[0] === "" ? `all ${names.length} shown` : `${new Set(chosen).size} of ${names.length} shown`;
  });
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("section > details")) details.open = true;
});
