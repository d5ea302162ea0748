// Elements of the page whose words others may have written.

import { printable } from "./printable.js";

export function make(name, className = "", words = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (words) element.textContent = printable(words);
  return element;
}
