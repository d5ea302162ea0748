// What others wrote, fit to be shown: without controls and escapes, without what is not seen or turns a line around.
// The same as shared/printable.py, where the reasons stand.

const MARK = "\ufffd";
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/gu;
const EMOJI = /^[\p{So}\p{Sk}\ufe0f]$/u;
const JOINED = /^[\p{Lo}\p{Mn}\p{Mc}]$/u;

// On one line: line feeds and tabs become blanks, every other character of these kinds a mark.
export function printable(text) {
  const words = String(text ?? "");
  return words.replace(HIDDEN, (char, at) => {
    if (char === "\n" || char === "\t") return " ";
    return joins(char, words.slice(0, at), words.slice(at + 1)) ? char : MARK;
  });
}

// The same in JSON, which can say such characters without showing them: it stays the same text to who reads it.
export const escaped = (json) => json.replace(HIDDEN, (char) =>
  [...Array(char.length).keys()].map((at) => `\\u${hex(char.charCodeAt(at), 4)}`).join(""));

// And in a literal of Python, which does not put two halves of a character together.
export const escapedForPython = (literal) => literal.replace(HIDDEN, (char) =>
  char.length === 1 ? `\\u${hex(char.charCodeAt(0), 4)}` : `\\U${hex(char.codePointAt(0), 8)}`);

// And on the command line of a shell, byte by byte, which is the same in every locale.
export function quotedForShell(text) {
  const quoted = text.replaceAll("'", "'\\''");
  if (text.search(HIDDEN) < 0) return `'${quoted}'`;
  const bytes = (hidden) => [...new TextEncoder().encode(hidden)].map((byte) => `\\x${hex(byte, 2)}`).join("");
  return `$'${text.replace(/[\\']/g, "\\$&").replace(HIDDEN, bytes)}'`;
}

const hex = (number, length) => number.toString(16).padStart(length, "0");

// Whether a joiner is part of how something is written: an emoji, or letters without case.
function joins(char, before, after) {
  if (char !== "\u200c" && char !== "\u200d") return false;
  const last = [...before.slice(-2)].at(-1) ?? "";
  const next = [...after.slice(0, 2)].at(0) ?? "";
  if (last !== "\ufe0f" && JOINED.test(last) && JOINED.test(next)) return true;
  return char === "\u200d" && EMOJI.test(last) && /^\p{So}$/u.test(next);
}
