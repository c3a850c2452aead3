//! The scripts. Each is one step for everybody who looks on.
//!
//! What a full server must still do carries `allow-oom`: it ends sessions, tells so, and keeps rotated tokens, which
//! take the place of old ones. It refuses what makes it grow: new sessions.

use redis::Script;

/// What a script answers where there is no live record.
pub(super) const GONE: i64 = 0;
/// What it answers where somebody else was first.
pub(super) const REFUSED: i64 = -1;

/// Shared by all but the limits. A record knows the name of its owner's list, which lies in the same slot.
const COMMON: &str = r"
local record = KEYS[1]
local now = tonumber(ARGV[1])

local function text(number) return string.format('%.0f', number) end

local function live(...)
    local fields = redis.call('HMGET', record, 'version', 'until', ...)
    if fields[1] and now < tonumber(fields[2]) then return fields end
end

local function keep(owner, stop)
    local rest = stop - now
    redis.call('HSET', record, 'until', text(stop))
    redis.call('PEXPIRE', record, text(rest))
    redis.call('ZADD', owner, text(stop), string.sub(record, -64))
    if redis.call('PTTL', owner) < rest then redis.call('PEXPIRE', owner, text(rest)) end
end

local function clock()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
";

/// KEYS: record, the owner's list. ARGV: now, sealed, label, seen, until.
const CREATE: &str = r"
if redis.call('EXISTS', record) == 1 then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now))
redis.call('HSET', record, 'version', 1, 'sealed', ARGV[2], 'label', ARGV[3], 'seen', ARGV[4], 'owner', KEYS[2])
keep(KEYS[2], tonumber(ARGV[5]))
return 1
";

/// KEYS: record, perhaps the owner's list from now on. ARGV: now, the version that was read, the fence or 0, sealed,
/// seen, until, perhaps a label.
const CHANGE: &str = r"
local fields = live('fence', 'seen', 'owner')
if not fields then return 0 end
local fence = tonumber(ARGV[3])
if fields[1] ~= ARGV[2] or (fence > 0 and fence < tonumber(fields[3] or 0)) then return -1 end
redis.call('HINCRBY', record, 'version', 1)
redis.call('HSET', record, 'sealed', ARGV[4])
if ARGV[7] then redis.call('HSET', record, 'label', ARGV[7]) end
if tonumber(fields[4]) < tonumber(ARGV[5]) then redis.call('HSET', record, 'seen', ARGV[5]) end
if fence > 0 then redis.call('HDEL', record, 'leased') end
local owner, stop = KEYS[2] or fields[5], math.max(tonumber(fields[2]), tonumber(ARGV[6]))
if owner ~= fields[5] then
    redis.call('ZREM', fields[5], string.sub(record, -64))
    redis.call('HSET', record, 'owner', owner)
    keep(owner, stop)
elseif tonumber(fields[2]) < stop then
    keep(owner, stop)
end
return 1
";

/// ARGV: now, seen, until.
const TOUCH: &str = r"
local fields = live('seen', 'owner')
if fields and tonumber(fields[3]) < tonumber(ARGV[2]) then
    redis.call('HSET', record, 'seen', ARGV[2])
    if tonumber(fields[2]) < tonumber(ARGV[3]) then keep(fields[4], tonumber(ARGV[3])) end
end
";

/// ARGV: now, the reason, perhaps a word that the sealed record stays. The mark takes over the record's time to live.
const END: &str = r"
local fields = live('owner')
if not fields then return 0 end
redis.call('HSET', record, 'ended', ARGV[2])
redis.call('HDEL', record, 'version', 'label', 'seen', 'owner', 'fence', 'leased')
if not ARGV[3] then redis.call('HDEL', record, 'sealed') end
redis.call('ZREM', fields[3], string.sub(record, -64))
return 1
";

/// ARGV: now, milliseconds. Answers the fence.
const LEASE: &str = r"
local fields = live('leased')
if not fields then return 0 end
local present = clock()
if fields[3] and present < tonumber(fields[3]) then return -1 end
redis.call('HSET', record, 'leased', text(present + tonumber(ARGV[2])))
return redis.call('HINCRBY', record, 'fence', 1)
";

/// ARGV: now, the fence, milliseconds.
const RENEW: &str = r"
local fields = live('fence', 'leased')
if not fields or fields[3] ~= ARGV[2] or not fields[4] then return 0 end
local present = clock()
if tonumber(fields[4]) <= present then return 0 end
redis.call('HSET', record, 'leased', text(present + tonumber(ARGV[3])))
return 1
";

/// ARGV: now, the fence.
const RELEASE: &str = r"
local fields = live('fence')
if fields and fields[3] == ARGV[2] then redis.call('HDEL', record, 'leased') end
";

/// KEYS: the stream. ARGV: now, sealed, until, the most that it holds. Entries whose time is over leave at the old end.
const PUBLISH: &str = r"
local first
repeat
    local old = redis.call('XRANGE', record, '-', '+', 'COUNT', 64)
    first = nil
    local last = nil
    for _, entry in ipairs(old) do
        if now < tonumber(entry[2][2]) then first = entry[1] break end
        last = entry[1]
    end
    if last then
        for _, entry in ipairs(old) do
            redis.call('XDEL', record, entry[1])
            if entry[1] == last then break end
        end
    end
until first or #old < 64
if redis.call('XLEN', record) >= tonumber(ARGV[4]) then return 0 end
redis.call('XADD', record, '*', 'until', ARGV[3], 'sealed', ARGV[2])
local rest = tonumber(ARGV[3]) - now
if redis.call('PTTL', record) < rest then redis.call('PEXPIRE', record, text(rest)) end
return 1
";

/// KEYS: the counter, which is the moment at which the whole quota is there again. ARGV: microseconds in which one try
/// comes back, tries in all. Answers how long to wait, 0 if the try counts.
const TAKE: &str = r"
local time = redis.call('TIME')
local present = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local per = interval * tonumber(ARGV[2])
local moment = tonumber(redis.call('GET', KEYS[1]) or present)
moment = math.min(math.max(moment, present), present + per) + interval
local ahead = moment - present
if ahead > per then return ahead - per end
redis.call('SET', KEYS[1], string.format('%.0f', moment), 'PX', math.ceil(ahead / 1000))
return 0
";

/// The same the other way; the time to live may stay.
const GIVE_BACK: &str = r"
local moment = tonumber(redis.call('GET', KEYS[1]))
if moment then redis.call('SET', KEYS[1], string.format('%.0f', moment - tonumber(ARGV[1])), 'KEEPTTL') end
";

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) change: Script,
    pub(super) touch: Script,
    pub(super) end: Script,
    pub(super) lease: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
    pub(super) publish: Script,
    pub(super) take: Script,
    pub(super) give_back: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let growing = |own: &str| Script::new(&format!("#!lua\n{COMMON}{own}"));
        let always = |own: &str| Script::new(&format!("#!lua flags=allow-oom\n{COMMON}{own}"));
        Self {
            create: growing(CREATE),
            change: always(CHANGE),
            touch: always(TOUCH),
            end: always(END),
            lease: always(LEASE),
            renew: always(RENEW),
            release: always(RELEASE),
            publish: always(PUBLISH),
            take: Script::new(&format!("#!lua\n{TAKE}")),
            give_back: Script::new(&format!("#!lua flags=allow-oom\n{GIVE_BACK}")),
        }
    }
}
