// The baseline: what one writes without a library. Plain fork, JSON messages, imports nothing.
process.on("message", (message) => {
  process.send(message)
})
