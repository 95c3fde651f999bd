/** What a browser shows at `/`: what this is and where to go on. No script, nothing from elsewhere. */
export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tintype</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }
  code { background: #8882; padding: .1rem .3rem; border-radius: .2rem }
</style>
<h1>Tintype</h1>
<p>This server saves running containers as images in a registry. It speaks the PAI-DSW API, version 2022-01-01, and the
image operations of AIWorkSpace: point an SDK or a command line of that API at this address.</p>
<p>Every request is signed with an access key. The first key was written to <code>credentials.json</code> in the
server's home directory when it was started for the first time.</p>
<ul>
<li><a href="/openapi.json">/openapi.json</a>: every operation, with its parameters</li>
<li><a href="/readyz">/readyz</a>: whether the server can work</li>
</ul>
</html>
`
