'use strict'

// Loaded by node before a server. Whatever port the server asks for, it gets a free one on loopback, and says which on
// a line of its own: no port is guessed, none collides, nobody outside can connect.
const net = require('net')
const listen = net.Server.prototype.listen

net.Server.prototype.listen = function (...args) {
  const asked = args[0] !== null && typeof args[0] === 'object' ? args[0].port : args[0]
  const callback = args.find((arg) => typeof arg === 'function')
  this.once('listening', () => console.log(`listening ${asked} ${this.address().port}`))
  return listen.call(this, { port: 0, host: '127.0.0.1' }, callback)
}

// The pipe ends with the process that started this one, even if it was killed: nothing is left behind.
process.stdin.on('end', () => process.exit(0))
process.stdin.on('error', () => process.exit(0))
process.stdin.resume()
