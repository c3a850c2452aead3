// The official client for JavaScript on its way through an account. It prints what it saw, a line a step; clients.rs
// compares that. AUTH_URL is the auth server, ADMIN_KEY its secret key, NOW its time in unix seconds.
import assert from 'node:assert'
import { createHmac } from 'node:crypto'
import { createClient } from '@supabase/supabase-js'

const url = process.env.AUTH_URL
const now = Number(process.env.NOW)
const back = 'http://localhost:3000/back'
const [old, fresh] = ['plover gantry mist', 'heron trestle fog']

// Node 20 has no WebSocket of its own, and nothing here opens one.
const options = { auth: { flowType: 'pkce' }, realtime: { transport: class {} } }
const device = (key = 'sb_publishable_test') => createClient(url, key, options).auth
const admin = device(process.env.ADMIN_KEY).admin

const say = (step, ...seen) => console.log(`${step}: ${seen.join(' ')}`)
const good = ({ data, error }) => {
  if (error) throw error
  return data
}
const code = ({ data, error }) => {
  assert(error, `no refusal but ${JSON.stringify(data)}`)
  return `${error.status} ${error.code}`
}
const who = (user) => `${user.email || 'nobody'}${user.is_anonymous ? ' anonymous' : ''}`
const list = (items) => items.sort().join('+') || 'none'
const providers = (identities) => list(identities.map((identity) => identity.provider))

// The newest mail to somebody: its digits, and its link with what that holds.
async function mail(to) {
  const all = await (await fetch(`${url}/outbox.json`)).json()
  const { text } = all.filter((mail) => mail.to === to).pop()
  const link = text.match(/http\S+\/verify\?\S+/)?.[0]
  const hash = link && new URL(link).searchParams.get('token')
  return { digits: text.match(/\b\d{6}\b/)?.[0], link, hash }
}

// A browser that follows redirects as far as the address of the app, which nobody serves.
async function browse(link, init) {
  const answer = await fetch(link, { redirect: 'manual', ...init })
  const next = answer.headers.get('location') ?? (await answer.text()).match(/url=([^"]+)"/)?.[1]
  assert(next, `${link} leads nowhere: ${answer.status}`)
  return new URL(next.replaceAll('&amp;', '&').replaceAll('&#x2f;', '/'), link)
}
async function open(link) {
  const target = await browse(link)
  assert(target.href.startsWith(back), target.href)
  return target.searchParams.get('code') ?? target.searchParams.get('error_code')
}
// The way through the page of a pretend provider.
async function choose(link, email) {
  const page = link.includes('/pretend/') ? new URL(link) : await browse(link)
  const body = new URLSearchParams({ state: page.searchParams.get('state'), email, name: 'Ada', verified: 'on' })
  return open((await browse(page, { method: 'POST', body, headers: { origin: page.origin } })).href)
}

// RFC 6238 with the usual thirty seconds and six digits; `step` counts from now.
function totp(secret, step) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...secret].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
  const count = Buffer.alloc(8)
  count.writeBigUInt64BE(BigInt(Math.floor(now / 30) + step))
  const mac = createHmac('sha1', key).update(count).digest()
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}

// Sign-up, confirmation, password.
const ada = 'ada@example.com'
let me = device()
let data = good(await me.signUp({ email: ada, password: old, options: { data: { name: 'Ada' }, emailRedirectTo: back } }))
say('sign-up', who(data.user), data.session ?? 'no-session', data.user.email_confirmed_at ? 'confirmed' : 'unconfirmed')
say('again', who(good(await device().signUp({ email: ada, password: old })).user))
say('weak', code(await device().signUp({ email: 'weak@example.com', password: 'short' })))
say('too-early', code(await me.signInWithPassword({ email: ada, password: old })))
good(await me.resend({ type: 'signup', email: ada, options: { emailRedirectTo: back } }))
say('wrong-digits', code(await me.verifyOtp({ email: ada, token: '000000', type: 'email' })))
data = good(await me.verifyOtp({ email: ada, token: (await mail(ada)).digits, type: 'email' }))
say('confirmed', who(data.user), data.session.token_type, data.user.user_metadata.name)
good(await me.signOut())
say('signed-out', (await me.getSession()).data.session ?? 'no-session')
say('wrong-password', code(await me.signInWithPassword({ email: ada, password: 'wrong' })))
data = good(await me.signInWithPassword({ email: ada, password: old }))
say('password', who(data.user), data.session.expires_in, providers(data.user.identities))

// Tokens.
const first = data.session
data = good(await me.refreshSession())
say('refreshed', data.session.access_token !== first.access_token, data.session.refresh_token !== first.refresh_token)
data = good(await device().setSession({ access_token: first.access_token, refresh_token: first.refresh_token }))
say('set-session', who(data.user))
say('unknown-refresh', code(await device().refreshSession({ refresh_token: 'abcdefghijkl' })))
say('user', who(good(await me.getUser()).user))
say('forged', code(await me.getUser(first.access_token + 'A')))
const { claims, header } = good(await me.getClaims())
say('claims', header.alg, claims.role, claims.aal, claims.email)

// Changes of an account.
data = good(await me.updateUser({ data: { name: 'Ada L.' } }))
say('renamed', data.user.user_metadata.name)
say('same-password', code(await me.updateUser({ password: old })))
good(await me.updateUser({ password: fresh }))
say('new-password', who(good(await device().signInWithPassword({ email: ada, password: fresh })).user))
good(await me.reauthenticate())
good(await me.updateUser({ password: old, nonce: (await mail(ada)).digits }))
say('reauthenticated', who(good(await device().signInWithPassword({ email: ada, password: old })).user))
const lady = 'lady@example.com'
data = good(await me.updateUser({ email: lady }, { emailRedirectTo: back }))
say('change', who(data.user), data.user.new_email)
data = good(await me.verifyOtp({ token_hash: (await mail(ada)).hash, type: 'email_change' }))
say('first-half', data.session ?? 'no-session')
data = good(await me.verifyOtp({ token_hash: (await mail(lady)).hash, type: 'email_change' }))
say('second-half', who(data.user))

// Ways in without a password.
me = device()
good(await me.signInWithOtp({ email: lady, options: { emailRedirectTo: back } }))
say('digits', who(good(await me.verifyOtp({ email: lady, token: (await mail(lady)).digits, type: 'email' })).user))
good(await me.signInWithOtp({ email: lady, options: { emailRedirectTo: back } }))
const { link } = await mail(lady)
say('link', who(good(await me.exchangeCodeForSession(await open(link))).user))
say('link-again', await open(link))
say('nobody', code(await me.signInWithOtp({ email: 'no@example.com', options: { shouldCreateUser: false } })))
good(await me.resetPasswordForEmail(lady, { redirectTo: back }))
data = good(await me.exchangeCodeForSession(await open((await mail(lady)).link)))
say('recovery', who(data.user))
good(await me.updateUser({ password: fresh }))
say('recovered', who(good(await me.signInWithPassword({ email: lady, password: fresh })).user))

// Providers and identities.
me = device()
const oauth = { redirectTo: back, skipBrowserRedirect: true }
data = good(await me.signInWithOAuth({ provider: 'github', options: oauth }))
data = good(await me.exchangeCodeForSession(await choose(data.url, 'octo@example.com')))
say('github', who(data.user), providers(data.user.identities), data.session.provider_token ? 'provider-token' : 'none')
say('last-identity', code(await me.unlinkIdentity(good(await me.getUserIdentities()).identities[0])))
data = good(await me.linkIdentity({ provider: 'google', options: oauth }))
good(await me.exchangeCodeForSession(await choose(data.url, 'octo@example.com')))
let { identities } = good(await me.getUserIdentities())
say('linked', providers(identities))
good(await me.unlinkIdentity(identities.find((identity) => identity.provider === 'google')))
say('unlinked', providers(good(await me.getUserIdentities()).identities))

// Second factors.
me = device()
good(await me.signInWithPassword({ email: lady, password: fresh }))
const app = good(await me.mfa.enroll({ factorType: 'totp', friendlyName: 'phone', issuer: 'Example' }))
say('enrolled', app.type, app.totp.uri.split(':')[0], app.totp.qr_code.startsWith('data:image/svg'))
const level = async () => Object.values(good(await me.mfa.getAuthenticatorAssuranceLevel())).slice(0, 2).join('>')
say('level', await level())
say('wrong-code', code(await me.mfa.challengeAndVerify({ factorId: app.id, code: totp(app.totp.secret, 9) })))
const challenge = good(await me.mfa.challenge({ factorId: app.id }))
data = good(await me.mfa.verify({ factorId: app.id, challengeId: challenge.id, code: totp(app.totp.secret, -1) }))
say('verified', who(data.user), await level())
good(await me.signInWithPassword({ email: lady, password: fresh }))
say('next-level', await level())
say('below', code(await me.updateUser({ password: old })))
good(await me.mfa.challengeAndVerify({ factorId: app.id, code: totp(app.totp.secret, 0) }))
say('stepped-up', await level())
say('used-code', code(await me.mfa.challengeAndVerify({ factorId: app.id, code: totp(app.totp.secret, 0) })))
say('factors', list(good(await me.mfa.listFactors()).totp.map((factor) => factor.friendly_name)))
good(await me.mfa.unenroll({ factorId: app.id }))
good(await me.refreshSession())
say('unenrolled', list(good(await me.mfa.listFactors()).all), await level())

// A session without an account, and its upgrade.
me = device()
data = good(await me.signInAnonymously({ options: { data: { theme: 'dark' } } }))
const guest = data.user.id
say('guest', who(data.user), data.user.user_metadata.theme)
data = good(await me.updateUser({ email: 'guest@example.com' }, { emailRedirectTo: back }))
data = good(await me.verifyOtp({ email: 'guest@example.com', token: (await mail('guest@example.com')).digits, type: 'email_change' }))
say('upgraded', who(data.user), data.user.id === guest)

// Ends.
const [one, two, three] = [device(), device(), device()]
for (const each of [one, two, three]) good(await each.signInWithPassword({ email: lady, password: fresh }))
good(await one.signOut({ scope: 'others' }))
say('others', who(good(await one.getUser()).user), code(await two.refreshSession()))
good(await two.signInWithPassword({ email: lady, password: fresh }))
good(await one.signOut({ scope: 'global' }))
say('global', code(await two.refreshSession()))

// An administrator's work.
data = good(await admin.createUser({ email: 'new@example.com', password: old, email_confirm: true, app_metadata: { roles: ['editor'] } }))
const id = data.user.id
say('created', who(data.user), data.user.app_metadata.roles, data.user.email_confirmed_at ? 'confirmed' : 'unconfirmed')
say('taken', code(await admin.createUser({ email: 'new@example.com', password: old })))
data = good(await admin.listUsers({ page: 1, perPage: 2 }))
say('listed', data.users.length)
say('pages', data.total, data.nextPage, data.lastPage)
say('by-id', who(good(await admin.getUserById(id)).user))
data = good(await admin.updateUserById(id, { email: 'newer@example.com', email_confirm: true, user_metadata: { name: 'Neo' } }))
say('changed', who(data.user), data.user.user_metadata.name)
for (const [type, more] of [['signup', { email: 'sign@example.com', password: old }], ['invite', { email: 'guests@example.com' }],
  ['magiclink', { email: lady }], ['recovery', { email: lady }], ['email_change_current', { email: lady, newEmail: 'dame@example.com' }],
  ['email_change_new', { email: lady, newEmail: 'dame@example.com' }]]) {
  const { properties } = good(await admin.generateLink({ type, ...more, options: { redirectTo: back } }))
  const known = new URL(properties.action_link).searchParams.get('token') === properties.hashed_token
  say('link-made', properties.verification_type, known, properties.email_otp.length, properties.redirect_to)
  if (type === 'magiclink') {
    data = good(await device().verifyOtp({ token_hash: properties.hashed_token, type: 'email' }))
    say('link-redeemed', who(data.user))
  }
}
say('invited', who(good(await admin.inviteUserByEmail('friend@example.com', { redirectTo: back, data: { team: 'red' } })).user))
data = good(await device().verifyOtp({ token_hash: (await mail('friend@example.com')).hash, type: 'invite' }))
say('accepted', who(data.user), data.user.user_metadata.team)
me = device()
data = good(await me.signInWithPassword({ email: 'newer@example.com', password: old }))
good(await admin.signOut(data.session.access_token, 'global'))
say('ended', code(await me.refreshSession()))
say('factors-of', list(good(await admin.mfa.listFactors({ userId: id })).factors))
good(await admin.updateUserById(id, { ban_duration: '1h' }))
say('banned', code(await me.signInWithPassword({ email: 'newer@example.com', password: old })))
good(await admin.deleteUser(id))
say('deleted', code(await admin.getUserById(id)))
say('no-admin', code(await device().admin.listUsers()))
say('end', 'reached')
process.exit(0) // the clients' timers would go on
