// What was, over what became of it: a slider says how much of each is seen.

const LABEL = "Before and after";

// `slot` has the picture that came of it; `url`: of the one that it began with.
export function compare(slot, url) {
  const before = document.createElement("img");
  Object.assign(before, { src: url, alt: "The picture before", className: "before" });
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: 100, value: 50, className: "divide" });
  slider.setAttribute("aria-label", LABEL);
  const handle = document.createElement("span");
  handle.className = "handle";
  const show = () => {
    slot.style.setProperty("--before", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % before`);
  };
  slider.addEventListener("input", show);
  slot.classList.add("compared");
  slot.append(before, slider, handle, tag("before-tag", "Before"), tag("after-tag", "After"));
  show();
}

function tag(name, words) {
  const element = document.createElement("span");
  element.className = `tag ${name}`;
  element.textContent = words;
  element.setAttribute("aria-hidden", "true");
  return element;
}
