"""The official client for Python on the same way as supabase.mjs: the same steps, the same lines."""

import base64
import hashlib
import hmac
import os
import re
import struct
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
from supabase import create_client
from supabase_auth.errors import AuthApiError

URL = os.environ["AUTH_URL"]
NOW = int(os.environ["NOW"])
BACK = "http://localhost:3000/back"
OLD, FRESH = "plover gantry mist", "heron trestle fog"


def device(key="sb_publishable_test"):
    return create_client(URL, key).auth


admin = device(os.environ["ADMIN_KEY"]).admin


def say(step, *seen):
    words = [str(word).lower() if isinstance(word, bool) else str(word) for word in seen]
    print(f"{step}: {' '.join(words)}", flush=True)


def code(call, *arguments):
    try:
        answer = call(*arguments)
    except AuthApiError as error:
        return f"{error.status} {error.code}"
    raise AssertionError(f"no refusal but {answer}")


def who(user):
    return (user.email or "nobody") + (" anonymous" if user.is_anonymous else "")


def some(items):
    return "+".join(sorted(items)) or "none"


def providers(identities):
    return some(identity.provider for identity in identities)


def session_of(answer):
    return "a-session" if answer.session else "no-session"


def mail(to):
    """The newest mail to somebody: its digits, its link and what that holds."""
    mails = httpx.get(f"{URL}/outbox.json").json()
    text = [mail for mail in mails if mail["to"] == to][-1]["text"]
    digits = re.search(r"\b\d{6}\b", text)
    link = re.search(r"http\S+/verify\?\S+", text)
    found = link and link.group()
    return {
        "digits": digits and digits.group(),
        "link": found,
        "hash": found and parse_qs(urlsplit(found).query)["token"][0],
    }


def browse(link, **more):
    """A browser that follows redirects as far as the address of the app, which nobody serves."""
    answer = httpx.request("POST" if more else "GET", link, **more)
    target = answer.headers.get("location")
    if not target:
        page = re.search(r'url=([^"]+)"', answer.text)
        assert page, f"{link} leads nowhere: {answer.status_code}"
        target = page.group(1).replace("&amp;", "&").replace("&#x2f;", "/")
    return urljoin(link, target)


def follow(link):
    target = browse(link)
    assert target.startswith(BACK), target
    query = parse_qs(urlsplit(target).query)
    return (query.get("code") or query.get("error_code"))[0]


def choose(link, email):
    """The way through the page of a pretend provider."""
    page = link if "/pretend/" in link else browse(link)
    parts = urlsplit(page)
    form = {"state": parse_qs(parts.query)["state"][0], "email": email, "name": "Ada", "verified": "on"}
    headers = {"origin": f"{parts.scheme}://{parts.netloc}", "content-type": "application/x-www-form-urlencoded"}
    return follow(browse(page, content=urlencode(form), headers=headers))


def exchange(me, ticket):
    return me.exchange_code_for_session({"auth_code": ticket})


def totp(secret, step):
    """RFC 6238 with the usual thirty seconds and six digits; the step counts from now."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", NOW // 30 + step), hashlib.sha1).digest()
    offset = mac[19] & 15
    number = struct.unpack(">I", mac[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def by_password(me, email, password):
    return me.sign_in_with_password({"email": email, "password": password})


# Sign-up, confirmation, password.
ada = "ada@example.com"
me = device()
data = me.sign_up({"email": ada, "password": OLD, "options": {"data": {"name": "Ada"}, "email_redirect_to": BACK}})
say("sign-up", who(data.user), session_of(data), "confirmed" if data.user.email_confirmed_at else "unconfirmed")
say("again", who(device().sign_up({"email": ada, "password": OLD}).user))
weak = {"email": "weak@example.com", "password": "short"}
try:
    device().sign_up(weak)
except Exception as error:  # one of the kinds that have a status and a code
    say("weak", error.status, error.code)
say("too-early", code(by_password, me, ada, OLD))
me.resend({"type": "signup", "email": ada, "options": {"email_redirect_to": BACK}})
say("wrong-digits", code(me.verify_otp, {"email": ada, "token": "000000", "type": "email"}))
data = me.verify_otp({"email": ada, "token": mail(ada)["digits"], "type": "email"})
say("confirmed", who(data.user), data.session.token_type, data.user.user_metadata["name"])
me.sign_out()
say("signed-out", "a-session" if me.get_session() else "no-session")
say("wrong-password", code(by_password, me, ada, "wrong"))
data = by_password(me, ada, OLD)
say("password", who(data.user), data.session.expires_in, providers(data.user.identities))

# Tokens.
first = data.session
data = me.refresh_session()
say(
    "refreshed",
    data.session.access_token != first.access_token,
    data.session.refresh_token != first.refresh_token,
)
say("set-session", who(device().set_session(first.access_token, first.refresh_token).user))
say("unknown-refresh", code(device().refresh_session, "abcdefghijkl"))
say("user", who(me.get_user().user))
say("forged", code(me.get_user, first.access_token + "A"))
found = me.get_claims()
claims = found["claims"]
say("claims", found["headers"]["alg"], claims["role"], claims["aal"], claims["email"])

# Changes of an account.
say("renamed", me.update_user({"data": {"name": "Ada L."}}).user.user_metadata["name"])
say("same-password", code(me.update_user, {"password": OLD}))
me.update_user({"password": FRESH})
say("new-password", who(by_password(device(), ada, FRESH).user))
me.reauthenticate()
me.update_user({"password": OLD, "nonce": mail(ada)["digits"]})
say("reauthenticated", who(by_password(device(), ada, OLD).user))
lady = "lady@example.com"
data = me.update_user({"email": lady}, {"email_redirect_to": BACK})
say("change", who(data.user), data.user.new_email)
say("first-half", session_of(me.verify_otp({"token_hash": mail(ada)["hash"], "type": "email_change"})))
say("second-half", who(me.verify_otp({"token_hash": mail(lady)["hash"], "type": "email_change"}).user))

# Ways in without a password.
me = device()
wish = {"email": lady, "options": {"email_redirect_to": BACK}}
me.sign_in_with_otp(wish)
say("digits", who(me.verify_otp({"email": lady, "token": mail(lady)["digits"], "type": "email"}).user))
me.sign_in_with_otp(wish)
link = mail(lady)["link"]
say("link", who(exchange(me, follow(link)).user))
say("link-again", follow(link))
stranger = {"email": "no@example.com", "options": {"should_create_user": False}}
say("nobody", code(me.sign_in_with_otp, stranger))
me.reset_password_for_email(lady, {"redirect_to": BACK})
say("recovery", who(exchange(me, follow(mail(lady)["link"])).user))
me.update_user({"password": FRESH})
say("recovered", who(by_password(me, lady, FRESH).user))

# Providers and identities.
me = device()
url = me.sign_in_with_oauth({"provider": "github", "options": {"redirect_to": BACK}}).url
data = exchange(me, choose(url, "octo@example.com"))
token = "provider-token" if data.session.provider_token else "none"
say("github", who(data.user), providers(data.user.identities), token)
say("last-identity", code(me.unlink_identity, me.get_user_identities().identities[0]))
url = me.link_identity({"provider": "google", "options": {"redirect_to": BACK}}).url
exchange(me, choose(url, "octo@example.com"))
identities = me.get_user_identities().identities
say("linked", providers(identities))
me.unlink_identity(next(identity for identity in identities if identity.provider == "google"))
say("unlinked", providers(me.get_user_identities().identities))

# Second factors.
me = device()
by_password(me, lady, FRESH)
app = me.mfa.enroll({"factor_type": "totp", "friendly_name": "phone", "issuer": "Example"})
say("enrolled", app.type, app.totp.uri.split(":")[0], app.totp.qr_code.startswith("data:image/svg"))


def level():
    found = me.mfa.get_authenticator_assurance_level()
    return f"{found.current_level}>{found.next_level}"


def prove(step):
    return me.mfa.challenge_and_verify({"factor_id": app.id, "code": totp(app.totp.secret, step)})


say("level", level())
say("wrong-code", code(prove, 9))
challenge = me.mfa.challenge({"factor_id": app.id})
proof = {"factor_id": app.id, "challenge_id": challenge.id, "code": totp(app.totp.secret, -1)}
say("verified", who(me.mfa.verify(proof).user), level())
by_password(me, lady, FRESH)
say("next-level", level())
say("below", code(me.update_user, {"password": OLD}))
prove(0)
say("stepped-up", level())
say("used-code", code(prove, 0))
say("factors", some(factor.friendly_name for factor in me.mfa.list_factors().totp))
me.mfa.unenroll({"factor_id": app.id})
me.refresh_session()
say("unenrolled", some(factor.id for factor in me.mfa.list_factors().all), level())

# A session without an account, and its upgrade.
me = device()
data = me.sign_in_anonymously({"options": {"data": {"theme": "dark"}}})
guest = data.user.id
say("guest", who(data.user), data.user.user_metadata["theme"])
me.update_user({"email": "guest@example.com"}, {"email_redirect_to": BACK})
digits = mail("guest@example.com")["digits"]
data = me.verify_otp({"email": "guest@example.com", "token": digits, "type": "email_change"})
say("upgraded", who(data.user), data.user.id == guest)

# Ends.
one, two, three = device(), device(), device()
for each in (one, two, three):
    by_password(each, lady, FRESH)
one.sign_out({"scope": "others"})
say("others", who(one.get_user().user), code(two.refresh_session))
by_password(two, lady, FRESH)
one.sign_out({"scope": "global"})
say("global", code(two.refresh_session))

# An administrator's work.
new = {"email": "new@example.com", "password": OLD}
user = admin.create_user({**new, "email_confirm": True, "app_metadata": {"roles": ["editor"]}}).user
confirmed = "confirmed" if user.email_confirmed_at else "unconfirmed"
say("created", who(user), ",".join(user.app_metadata["roles"]), confirmed)
say("taken", code(admin.create_user, new))
say("listed", len(admin.list_users(page=1, per_page=2)))
say("by-id", who(admin.get_user_by_id(user.id).user))
change = {"email": "newer@example.com", "email_confirm": True, "user_metadata": {"name": "Neo"}}
changed = admin.update_user_by_id(user.id, change).user
say("changed", who(changed), changed.user_metadata["name"])
for kind, more in [
    ("signup", {"email": "sign@example.com", "password": OLD}),
    ("invite", {"email": "guests@example.com"}),
    ("magiclink", {"email": lady}),
    ("recovery", {"email": lady}),
    ("email_change_current", {"email": lady, "new_email": "dame@example.com"}),
    ("email_change_new", {"email": lady, "new_email": "dame@example.com"}),
]:
    made = admin.generate_link({"type": kind, **more, "options": {"redirect_to": BACK}}).properties
    known = parse_qs(urlsplit(made.action_link).query)["token"][0] == made.hashed_token
    say("link-made", made.verification_type, known, len(made.email_otp), made.redirect_to)
    if kind == "magiclink":
        data = device().verify_otp({"token_hash": made.hashed_token, "type": "email"})
        say("link-redeemed", who(data.user))
friend = "friend@example.com"
say("invited", who(admin.invite_user_by_email(friend, {"redirect_to": BACK, "data": {"team": "red"}}).user))
data = device().verify_otp({"token_hash": mail(friend)["hash"], "type": "invite"})
say("accepted", who(data.user), data.user.user_metadata["team"])
me = device()
data = by_password(me, "newer@example.com", OLD)
admin.sign_out(data.session.access_token, "global")
say("ended", code(me.refresh_session))
say("factors-of", some(factor.id for factor in admin.mfa.list_factors({"user_id": user.id})))
admin.update_user_by_id(user.id, {"ban_duration": "1h"})
say("banned", code(by_password, me, "newer@example.com", OLD))
admin.delete_user(user.id)
say("deleted", code(admin.get_user_by_id, user.id))
say("no-admin", code(device().admin.list_users))
say("end", "reached")
os._exit(0)  # the clients' timers would go on
