// Sends a bundle's ZIP as it is: no form holds a file of hundreds of megabytes in memory.
const input = document.getElementById("bundle");
const said = document.getElementById("bundle-said");

input?.addEventListener("change", async () => {
  const [file] = input.files;
  if (!file) return;
  input.disabled = true;
  said.hidden = false;
  said.className = "alert";
  said.textContent = `${file.name} is sent and checked…`;
  try {
    const answer = await fetch("/administration/bundles", {
      method: "PUT",
      body: file,
      headers: {
        "Content-Type": "application/zip",
        "X-CSRF-Token": document.querySelector("meta[name=csrf]").content,
      },
    });
    const told = await answer.json();
    said.className = answer.ok ? "alert good" : "alert bad";
    said.textContent = told.sentence;
    if (answer.ok) location.assign("/administration/bundles");
  } catch {
    said.className = "alert bad";
    said.textContent = "It could not be sent. Is the console still there?";
  } finally {
    input.disabled = false;
    input.value = "";
  }
});
