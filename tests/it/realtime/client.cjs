// The official client on a socket of ours, with the cookies of a browser. Tells what happens, a line of JSON each.
const { createClient } = require('@supabase/supabase-js')
const WebSocket = require('ws')

const { BASE, COOKIE, PHANTOM, VSN } = process.env
const say = (event, rest = {}) => process.stdout.write(JSON.stringify({ event, ...rest }) + '\n')
const jar = new Map(COOKIE.split('; ').map((pair) => pair.split(/=(.*)/s)))

class BrowserSocket extends WebSocket {
  constructor(url, protocols) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    super(url, protocols ?? [], { headers: { cookie, origin: BASE } })
    this.on('upgrade', (answer) => {
      for (const line of answer.headers['set-cookie'] ?? []) {
        const [name, value] = line.split(';')[0].split(/=(.*)/s)
        jar.set(name, value)
      }
    })
    this.on('message', (data, binary) => say('frame', { binary, text: data.toString() }))
    this.on('close', (code, reason) => say('closed', { code, reason: reason.toString() }))
  }
}

const supabase = createClient(`${BASE}/supabase`, 'bff', {
  accessToken: async () => PHANTOM || null,
  realtime: { transport: BrowserSocket, vsn: VSN, reconnectAfterMs: () => 50 },
})
const channel = supabase.channel('room', { config: { private: true, broadcast: { self: true } } })
channel.on('broadcast', { event: 'shout' }, ({ payload }) => say('heard', { payload }))
channel.subscribe((status, error) => {
  say('status', { status, error: error ? String(error.message) : null })
  if (status === 'SUBSCRIBED') {
    channel.send({ type: 'broadcast', event: 'shout', payload: { text: 'hello' } })
  }
})
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
