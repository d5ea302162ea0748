// How pictures come to the page: dropped anywhere on it, pasted, or chosen.

// `sheet`: what lies over the page while something is dragged over it. `onFiles(files)` gets at least one.
export function listen({ sheet, button, chooser, onFiles }) {
  button.addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    const files = [...chooser.files];
    chooser.value = ""; // so that the same one can be chosen again
    if (files.length) onFiles(files);
  });
  listenForDrops(sheet, onFiles);
  addEventListener("paste", (event) => {
    const { types, files } = event.clipboardData;
    // Of a table or a text there is a picture, too; who pastes it means the words. (A file has its name as text.)
    const words = types.includes("text/plain") && (types.includes("text/html") || types.includes("text/rtf"));
    if (inDialog() || files.length === 0 || words) return;
    event.preventDefault();
    onFiles([...files]);
  });
}

function listenForDrops(sheet, onFiles) {
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = inDialog() ? "none" : "copy";
    sheet.hidden = inDialog();
  });
  addEventListener("dragleave", (event) => { if (event.relatedTarget === null) sheet.hidden = true; });
  addEventListener("drop", (event) => {
    sheet.hidden = true;
    if (!brings(event)) return;
    event.preventDefault(); // else the browser leaves the page and shows the file
    const files = [...event.dataTransfer.files];
    if (!inDialog() && files.length) onFiles(files);
  });
}

const inDialog = () => document.querySelector("dialog[open]") !== null;
