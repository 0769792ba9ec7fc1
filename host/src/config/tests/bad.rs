//! Bad files, each with one slip: where the error points, and what it says.

use super::Folder;

/// Four lines that every file needs; a slip stands in line 5 or below.
const HEAD: &str = "[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";

/// What follows the head, the place of the slip, its key, and a part of the message.
#[rustfmt::skip]
const SLIPS: &[(&str, &str, &str, &str)] = &[
    // Syntax.
    ("[services.a", "5:12", "", "unclosed table; write `]`"),
    ("[services.a]\ndomain = ", "6:10", "", "write"),
    ("[services.a]\ndomain = \"x", "6:12", "", "invalid basic string"),
    ("[services.a]\ndomain = \"x\"\ndomain = \"y\"", "7:1", "", "`domain` a second time"),
    ("[services.a]\n[services.a]", "6:11", "", "`a` a second time"),
    // Keys.
    ("[services.a]\ncomponnent = \"a.wasm\"", "6:1", "services.a.componnent", "did you mean `component`?"),
    ("[services.a]\nauth = { }", "6:1", "services.a.auth", "the keys here are balance, buckets, build"),
    ("[service.a]", "5:2", "service", "did you mean `services`?"),
    ("[services.a]\nlimits = { ram = \"1MiB\" }", "6:12", "services.a.limits.ram", "memory"),
    ("[services.a]\n\"a b\" = 1", "6:1", "services.a.\"a b\"", "unknown key"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nlimits = { }\n[services.a]", "8:1", "routes[0].limits", "the keys here are"),
    ("[[routes]]\nservice = \"a\"\n[services.a]", "5:1", "routes[0].path", "add `path = \"/api/orders/{*rest}\"`"),
    // Types.
    ("[services]\na = 1", "6:5", "services.a", "write a table"),
    ("[services.a]\ncalls = \"b\"", "6:9", "services.a.calls", "write a list of strings such as [\"customer\"]"),
    ("[services.a]\nbuckets = [\"x\", 2]", "6:17", "services.a.buckets[1]", "write a string in quotes"),
    ("[services.a]\nconfig = { n = 7 }", "6:16", "services.a.config.n", "write a string in quotes such as \"EUR\""),
    ("[services.a]\ndomain = [\"x\"]", "6:10", "services.a.domain", "found a list; write a string in quotes"),
    ("[services.a]\ninstances = { max = \"8\" }", "6:21", "services.a.instances.max", "write a whole number from 1 to"),
    ("[services.a]\ninstances = 8", "6:13", "services.a.instances", "write a table"),
    ("routes = 1", "5:1", "admin.routes", "unknown key"),
    ("[telemetry]\nformat = \"jsn\"\n[services.a]", "6:10", "telemetry.format", "did you mean `json`?"),
    ("[telemetry]\nformat = 1\n[services.a]", "6:10", "telemetry.format", "the values here are human, json"),
    ("[telemetry]\nlevel = \"loud\"\n[services.a]", "6:9", "telemetry.level", "write off, error"),
    // Units and ranges.
    ("[services.a]\nlimits = { memory = \"64 elephants\" }", "6:21", "services.a.limits.memory", "found \"64 elephants\"; write a size"),
    ("[services.a]\nlimits = { memory = 64 }", "6:21", "services.a.limits.memory", "found 64; write a string in quotes such as \"64MiB\""),
    ("[services.a]\nlimits = { memory = \"64\" }", "6:21", "services.a.limits.memory", "write a size with its unit"),
    ("[services.a]\nlimits = { memory = \"-1MiB\" }", "6:21", "services.a.limits.memory", "write a size with its unit"),
    ("[services.a]\nlimits = { memory = \"0MiB\" }", "6:21", "services.a.limits.memory", "from \"64KiB\" to \"4GiB\""),
    ("[services.a]\nlimits = { memory = \"5GiB\" }", "6:21", "services.a.limits.memory", "from \"64KiB\" to \"4GiB\""),
    ("[services.a]\nlimits = { memory = \"1GiB\" }", "6:1", "services.a.limits.service-memory", "found \"512MiB\" (the default); write at least \"1GiB\""),
    ("[services.a]\nlimits = { service-memory = \"1MiB\" }", "6:29", "services.a.limits.service-memory", "write at least \"64MiB\""),
    ("[services.a]\nlimits = { time = \"10\" }", "6:19", "services.a.limits.time", "write a duration with its unit"),
    ("[services.a]\nlimits = { time = 10 }", "6:19", "services.a.limits.time", "found 10; write a string in quotes such as \"5s\""),
    ("[services.a]\nlimits = { time = \"64MiB\" }", "6:19", "services.a.limits.time", "write a duration with its unit"),
    ("[services.a]\nlimits = { cpu = \"-5s\" }", "6:18", "services.a.limits.cpu", "write a duration with its unit"),
    ("[services.a]\nlimits = { cpu = \"0s\" }", "6:18", "services.a.limits.cpu", "from \"1ms\""),
    ("[services.a]\nlimits = { idle = \"20years\" }", "6:19", "services.a.limits.idle", "to \"3650days\""),
    ("[services.a]\nlimits = { body = \"0B\" }", "6:19", "services.a.limits.body", "from \"1B\""),
    ("[services.a]\ninstances = { min = 3, max = 2 }", "6:21", "services.a.instances.min", "at most `max`"),
    ("[services.a]\ninstances = { min = 40 }", "6:21", "services.a.instances.min", "(32 when absent)"),
    ("[services.a]\ninstances = { max = 0 }", "6:21", "services.a.instances.max", "found 0; write a whole number from 1 to"),
    ("[services.a]\ninstances = { min = -1 }", "6:21", "services.a.instances.min", "from 0 to"),
    ("[services.a]\ninstances = { reuse = 0 }", "6:23", "services.a.instances.reuse", "from 1 to"),
    ("[messaging]\nattempts = 0\n[services.a]", "6:12", "messaging.attempts", "from 1 to 1000"),
    ("[messaging]\nback-off = { min = \"2m\" }\n[services.a]", "6:20", "messaging.back-off.min", "at most `max`"),
    // Services.
    ("[services.Order]", "5:11", "services.Order", "found the name \"Order\"; rename the service"),
    ("[services.a]\ndomain = \"A B\"", "6:10", "services.a.domain", "lower-case"),
    ("[services.a]\ncomponent = \"a.wasm\"", "6:13", "services.a.component", "add `build`"),
    ("[services.a]\ncomponent = \"site\"", "6:13", "services.a.component", "this is a folder"),
    ("[services.a]\ncomponent = \"\"", "6:13", "services.a.component", "write a path"),
    ("[services.a]\ncomponent = \"oci://example.com/a\"", "6:13", "services.a.component", "registries are not supported yet"),
    ("[services.a]\nbuild = \"make\"", "6:9", "services.a.build", "add `component`"),
    ("[services.a]\ncomponent = \"order.wasm\"\nupstreams = [\"http://a\"]", "6:13", "services.a.component", "keep one of them"),
    ("[services.a]\nbuild = \"make\"\nupstreams = [\"http://a\"]", "6:9", "services.a.build", "keep one of them"),
    ("[services.a]\nupstreams = []", "6:13", "services.a.upstreams", "at least one address"),
    ("[services.a]\nupstreams = [\"127.0.0.1:1\"]", "6:14", "services.a.upstreams[0]", "begin with `https://` or `http://`"),
    ("[services.a]\nupstreams = [\"http://*.a\"]", "6:14", "services.a.upstreams[0]", "a pattern cannot be called"),
    ("[services.a]\nupstreams = [\"http://a\", \"http://a:80\"]", "6:26", "services.a.upstreams[1]", "twice"),
    ("[services.a]\nupstreams = [\"http://a\"]\ndatabase = \"embedded\"", "7:12", "services.a.database", "to nobody"),
    ("[services.a]\nupstreams = [\"http://a\"]\ninstances = { }", "7:1", "services.a.instances", "no instances"),
    ("[services.a]\nupstreams = [\"http://a\"]\nlimits = { cpu = \"1s\" }", "7:18", "services.a.limits.cpu", "outside this host"),
    // External services.
    ("[services.a]\nupstreams = [1]", "6:14", "services.a.upstreams[0]", "write a string in quotes, or write a table"),
    ("[services.a]\nupstreams = [{ weight = 2 }]", "6:14", "services.a.upstreams[0].url", "add `url = \"https://b.example.com\"`"),
    ("[services.a]\nupstreams = [{ url = \"a:1\" }]", "6:22", "services.a.upstreams[0].url", "begin with `https://` or `http://`"),
    ("[services.a]\nupstreams = [{ url = \"http://a\", weight = 0 }]", "6:43", "services.a.upstreams[0].weight", "from 1 to 1000"),
    ("[services.a]\nupstreams = [\"http://a\", { url = \"http://a\" }]", "6:34", "services.a.upstreams[1].url", "twice"),
    ("[services.a]\nupstreams = [\"http://a\"]\nbalance = \"hash\"", "7:11", "services.a.balance", "write round-robin, least-requests"),
    ("[services.a]\nupstreams = [\"http://a\"]\nbalance = \"hash:cookie:a b\"", "7:11", "services.a.balance", "hash:cookie:NAME"),
    ("[services.a]\nbalance = \"random\"", "6:11", "services.a.balance", "found `balance` without `upstreams`"),
    ("[services.a]\nupstreams = [\"http://a\"]\nhttp = 2", "7:8", "services.a.http", "the values here are 1.1, 2"),
    ("[services.a]\nupstreams = [\"http://a\"]\nhost = \"kep\"", "7:8", "services.a.host", "did you mean `keep`?"),
    ("[services.a]\nupstreams = [\"http://a\"]\nhost = \"keep\"\nhttp = \"2\"", "7:8", "services.a.host", "over HTTP/2 the host is that of the address"),
    ("[services.a]\nupstreams = [\"http://a\"]\nca = \"none.pem\"", "7:6", "services.a.ca", "name a PEM file"),
    ("[services.a]\nupstreams = [\"http://a\"]\nca = \"psp.key\"", "7:6", "services.a.ca", "there is none in it"),
    ("[services.a]\nupstreams = [\"http://a\"]\nhealth-check = { every = \"1s\" }", "7:1", "services.a.health-check.path", "add `path = \"/healthz\"`"),
    ("[services.a]\nupstreams = [\"http://a\"]\nhealth-check = { path = \"x\" }", "7:25", "services.a.health-check.path", "begins with `/`"),
    ("[services.a]\nupstreams = [\"http://a\"]\nhealth-check = { path = \"/\", status = [] }", "7:39", "services.a.health-check.status", "name a status"),
    ("[services.a]\nupstreams = [\"http://a\"]\nhealth-check = { path = \"/\", status = [99] }", "7:40", "services.a.health-check.status[0]", "from 200 to 599"),
    ("[services.a]\nupstreams = [\"http://a\"]\noutlier = { max-ejected = 101 }", "7:27", "services.a.outlier.max-ejected", "from 0 to 100"),
    ("[services.a]\nupstreams = [\"http://a\"]\noutlier = 5", "7:11", "services.a.outlier", "write true or false, or write a table"),
    ("[services.a]\nretry = { attempts = 1 }", "6:22", "services.a.retry.attempts", "from 2 to 10"),
    ("[services.a]\nretry = { back-off = { min = \"1s\" } }", "6:30", "services.a.retry.back-off.min", "at most `max` (250ms when absent)"),
    // Grants.
    ("[services.a]\ndatabase = \"sqlite\"", "6:12", "services.a.database", "write \"embedded\""),
    ("[services.a]\ndatabase = \"postgres://db/a\"", "6:12", "services.a.database", "distributed back ends"),
    ("[services.a]\nbuckets = [\"../x\"]", "6:12", "services.a.buckets[0]", "name a bucket"),
    ("[services.a]\npublishes = [\"a..b\"]", "6:14", "services.a.publishes[0]", "is no topic pattern"),
    ("[services.a]\npublishes = [\"a.>.b\"]", "6:14", "services.a.publishes[0]", "stands only at the end"),
    ("[services.a]\nsubscribes = [\"b.*\"]", "6:15", "services.a.subscribes[0]", "nobody may publish such a topic"),
    ("[services.a]\npublishes = [\"b.x\"]\nsubscribes = [\"b.x.*\"]", "7:15", "services.a.subscribes[0]", "nobody may publish"),
    ("[services.a]\nsubscribes = [\"shop/b.*\"]\n[services.b]\ndomain = \"shpo\"", "6:15", "services.a.subscribes[0]", "did you mean `shpo`?"),
    ("[services.a]\ncalls = [\"stok\"]\n[services.stock]", "6:10", "services.a.calls[0]", "did you mean `stock`?"),
    ("[services.a]\ncalls = [\"a\"]", "6:10", "services.a.calls[0]", "waits for itself"),
    ("[services.a]\nfetches = [\"https://a/path\"]", "6:12", "services.a.fetches[0]", "take the path out"),
    ("[services.a]\nfetches = [\"https://u:p@a\"]", "6:12", "services.a.fetches[0]", "https://…@a\"; take user and password out"),
    ("[services.a]\nfetches = [\"a.example.com\"]", "6:12", "services.a.fetches[0]", "begin with `https://`"),
    ("[services.a]\nfetches = [\"http://stock.internal\"]", "6:12", "services.a.fetches[0]", "in `calls`"),
    ("[services.a]\nsecrets = { k = \"env:HOSTEL_NO_SUCH_VARIABLE\" }", "6:17", "services.a.secrets.k", "set the environment variable `HOSTEL_NO_SUCH_VARIABLE`"),
    ("[services.a]\nsecrets = { k = \"file:none.key\" }", "6:17", "services.a.secrets.k", "none.key readable"),
    ("[services.a]\nsecrets = { k = \"file:empty.key\" }", "6:17", "services.a.secrets.k", "it is empty"),
    ("[services.a]\nsecrets = { k = \"hunter2\" }", "6:17", "services.a.secrets.k", "\"env:NAME\", \"file:PATH\" or \"generated:NAME\""),
    ("[services.a]\nconfig = { k = \"v\" }\nsecrets = { k = \"file:psp.key\" }", "7:17", "services.a.secrets.k", "another name"),
    // Routes.
    ("[[routes]]\npath = \"/\"\nservice = \"ordre\"\n[services.order]", "7:11", "routes[0].service", "did you mean `order`?"),
    ("[[routes]]\npath = \"/\"\nservice = \"x\"", "7:11", "routes[0].service", "there are no services here"),
    ("[[routes]]\npath = \"/\"", "5:1", "routes[0]", "add `service = \"NAME\"` or `files"),
    ("[[routes]]\npath = \"/{*r}\"\nservice = \"a\"\nfiles = \"site\"\n[services.a]", "8:9", "routes[0].files", "keep one of them"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = \"none\"", "7:9", "routes[0].files", "there is no such folder"),
    ("[[routes]]\npath = \"/x\"\nfiles = \"site\"", "6:8", "routes[0].path", "end in `/{*rest}`"),
    ("[[routes]]\npath = \"x\"\nservice = \"a\"\n[services.a]", "6:8", "routes[0].path", "begin the path with `/`"),
    ("[[routes]]\npath = \"/{*r}/x\"\nservice = \"a\"\n[services.a]", "6:8", "routes[0].path", "stand at the end"),
    ("[[routes]]\npath = \"/{a}{b}\"\nservice = \"a\"\n[services.a]", "6:8", "routes[0].path", "a whole segment"),
    ("[[routes]]\npath = \"/{a}/{a}\"\nservice = \"a\"\n[services.a]", "6:8", "routes[0].path", "another name"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nhost = \"http://a:80\"\n[services.a]", "8:8", "routes[0].host", "scheme and port are no part of it"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nmethods = []\n[services.a]", "8:11", "routes[0].methods", "name a method"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nmethods = [\"get\"]\n[services.a]", "8:12", "routes[0].methods[0]", "did you mean `GET`?"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nmethods = [\"CONNECT\"]\n[services.a]", "8:12", "routes[0].methods[0]", "the methods here are GET"),
    ("[[routes]]\npath = \"/x/{a}\"\nservice = \"a\"\n[[routes]]\npath = \"/x/{b}\"\nservice = \"a\"\n[services.a]", "9:8", "routes[1].path", "the route at line 5 takes the same requests"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nmethods = [\"GET\", \"PUT\"]\n[[routes]]\npath = \"/\"\nmethods = [\"PUT\"]\nservice = \"a\"\n[services.a]", "10:8", "routes[1].path", "line 5"),
    ("[[routes]]\npath = \"/\"\nhost = \"A.b\"\nservice = \"a\"\n[[routes]]\npath = \"/\"\nhost = \"a.B\"\nservice = \"a\"\n[services.a]", "10:8", "routes[1].path", "line 5"),
    ("[services.hostel]", "5:11", "services.hostel", "rename the service: the host itself has this name"),
    ("[gateway.cache]\npurged-by = [\"cache.purge\"]\n[services.a]\npublishes = [\"cache.*\"]", "6:14", "gateway.cache.purged-by[0]", "write the domain before it, as in \"default/cache.purge\""),
    ("[gateway.cache]\npurged-by = [\"default/cache.purge\"]\n[services.a]", "6:14", "gateway.cache.purged-by[0]", "nobody may publish such a topic"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = { requests = 1, by = \"header:hostel-subject\" }\n[services.a]", "8:35", "routes[0].rate-limit.by", "what clients say there is thrown away"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nheaders = { x-forwarded-proto = \"https\" }\n[services.a]", "8:33", "routes[0].headers.x-forwarded-proto", "what clients say there is thrown away"),
    ("[issuers.a]\nissuer = \"http://127.0.0.1:1\"\naudience = [\"a\"]\nlogin = { client = \"a\", path = \"session/\" }\n[services.a]", "8:32", "issuers.a.login.path", "write a path such as \"/session\""),
    ("[issuers.a]\nissuer = \"http://127.0.0.1:1\"\naudience = [\"a\"]\nservice = \"b\"\nlogin = { client = \"a\", scopes = [\"email\"] }\n[services.b]", "9:34", "issuers.a.login.scopes", "add \"openid\""),
    ("[issuers.a]\nissuer = \"http://127.0.0.1:1\"\naudience = [\"a\"]\nservice = \"orders\"\n[services.order]", "8:11", "issuers.a.service", "did you mean `order`?"),
    ("[services.a]\nsecrets = { k = \"generated:../k\" }", "6:17", "services.a.secrets.k", "lower-case letters, digits and `-`"),
    // Listeners.
    ("[gateway.tls]\n[services.a]", "5:10", "gateway.tls.certificates", "add `certificates = [{ certificate = \"shop.pem\", key = \"shop.key\" }]`"),
    ("[gateway.tls]\ncertificates = []\n[services.a]", "6:16", "gateway.tls.certificates", "name a certificate, or take"),
    ("[gateway.tls]\ncertificates = \"shop.pem\"\n[services.a]", "6:16", "gateway.tls.certificates", "write a list of tables such as [{ certificate ="),
    ("[gateway.tls]\ncertificates = [{ certificate = \"shop.pem\" }]\n[services.a]", "6:17", "gateway.tls.certificates[0].key", "add `key = \"shop.key\"`"),
    ("[gateway.tls]\ncertificates = [{ certificate = \"none.pem\", key = \"shop.key\" }]\n[services.a]", "6:33", "gateway.tls.certificates[0].certificate", "there is no such file"),
    ("[gateway.tls]\ncertificates = [{ certificate = \"shop.pem\", key = \"site\" }]\n[services.a]", "6:51", "gateway.tls.certificates[0].key", "put the PEM file there"),
    ("[gateway.tls]\ncertificates = [{ certificate = \"shop.pem\", key = \"shop.key\" }]\nmin-version = \"1.1\"\n[services.a]", "7:15", "gateway.tls.min-version", "1.2"),
    ("[gateway.tls]\ncertificates = [{ certificate = \"shop.pem\", key = \"shop.key\" }]\nclient-certificates = \"optional\"\n[services.a]", "7:23", "gateway.tls.client-certificates", "add `client-ca = \"FILE\"`"),
    ("[gateway.tls]\ncertificates = [{ certificate = \"shop.pem\", key = \"shop.key\" }]\nredirect-port = 443\n[services.a]", "7:17", "gateway.tls.redirect-port", "add `redirect = "),
    ("[gateway.tls]\ncertificates = [{ certificate = \"shop.pem\", key = \"shop.key\" }]\nredirect = \"80\"\n[services.a]", "7:12", "gateway.tls.redirect", "an IP address and a port"),
    ("[gateway.tls]\ncertificates = [{ certificate = \"shop.pem\", key = \"shop.key\" }]\nredirect = \"0.0.0.0:80\"\nredirect-port = 0\n[services.a]", "8:17", "gateway.tls.redirect-port", "from 1 to 65535"),
    ("[gateway.http2]\nstreams-max = 0\n[services.a]", "6:15", "gateway.http2.streams-max", "from 1 to 10000"),
    ("[gateway.http2]\nheader-list = \"1MiB\"\n[services.a]", "6:15", "gateway.http2.header-list", "from \"1KiB\" to \"64KiB\""),
    // Policies.
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = true\n[services.a]", "8:14", "routes[0].rate-limit", "write a limit such as `{ requests = 100, per = \"1s\" }`, or false"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = 100\n[services.a]", "8:14", "routes[0].rate-limit", "write true or false, or write a table: `{ key = value }`, or write a list of tables"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = { }\n[services.a]", "8:1", "routes[0].rate-limit.requests", "add `requests = 100`"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = [{ requests = 0 }]\n[services.a]", "8:28", "routes[0].rate-limit[0].requests", "write a whole number from 1 to 1000000"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = { requests = 1, per = \"2days\" }\n[services.a]", "8:36", "routes[0].rate-limit.per", "at most \"24h\""),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = { requests = 1, per = \"1h\", burst = 1000 }\n[services.a]", "8:50", "routes[0].rate-limit.burst", "write at most 720"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = { requests = 1, by = \"ip\" }\n[services.a]", "8:35", "routes[0].rate-limit.by", "write \"address\""),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = { requests = 1, by = \"header:\" }\n[services.a]", "8:35", "routes[0].rate-limit.by", "header:x-tenant"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = { requests = 1, rate = 1 }\n[services.a]", "8:30", "routes[0].rate-limit.rate", "unknown key"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = true\n[services.a]", "8:8", "routes[0].cors", "name who may ask"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = { }\n[services.a]", "8:1", "routes[0].cors.origins", "add `origins = [\"https://app.example.com\"]`"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = { origins = [] }\n[services.a]", "8:20", "routes[0].cors.origins", "name an origin"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = { origins = [\"null\"] }\n[services.a]", "8:21", "routes[0].cors.origins[0]", "begin with `https://`"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = { origins = [\"https://a/\"] }\n[services.a]", "8:21", "routes[0].cors.origins[0]", "take the path out"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = { origins = [\"*\", \"https://a\"] }\n[services.a]", "8:20", "routes[0].cors.origins", "write only \"*\""),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = { origins = [\"*\"], credentials = true }\n[services.a]", "8:41", "routes[0].cors.credentials", "name the origins"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = { origins = [\"https://a\"], credentials = true, headers = [\"*\"] }\n[services.a]", "8:66", "routes[0].cors.headers[0]", "name the headers"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncors = { origins = [\"https://a\"], methods = [\"get\"] }\n[services.a]", "8:46", "routes[0].cors.methods[0]", "did you mean `GET`?"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncompress = \"br\"\n[services.a]", "8:12", "routes[0].compress", "write true or false"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nsecurity-headers = 1\n[services.a]", "8:20", "routes[0].security-headers", "write true or false"),
    // Parts of routes.
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nheaders = { te = \"x\" }\n[services.a]", "8:18", "routes[0].headers.te", "belongs to the connection"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nheaders = { \"a b\" = \"x\" }\n[services.a]", "8:21", "routes[0].headers.\"a b\"", "name a header field"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nheaders = { hostel_subject = \"x\" }\n[services.a]", "8:30", "routes[0].headers.hostel_subject", "only the host says"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nheaders = { x-a = \" x\" }\n[services.a]", "8:19", "routes[0].headers.x-a", "visible ASCII"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nquery = { \"\" = \"x\" }\n[services.a]", "8:16", "routes[0].query.\"\"", "name the parameter"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nquery = { a = \"1\" }\n[[routes]]\npath = \"/\"\nservice = \"a\"\nheaders = { b = \"1\" }\n[services.a]", "10:8", "routes[1].path", "the route at line 5 takes the same requests"),
    ("[[routes]]\npath = \"/\"\nredirect = { to = \"new\" }", "7:19", "routes[0].redirect.to", "write a path, or an address"),
    ("[[routes]]\npath = \"/{id}\"\nredirect = { to = \"https://{id}/\" }", "7:19", "routes[0].redirect.to", "write a host name"),
    ("[[routes]]\npath = \"/{id}\"\nredirect = { to = \"/{name}\" }", "7:19", "routes[0].redirect.to", "name a parameter of the route's path"),
    ("[[routes]]\npath = \"/\"\nredirect = { to = \"/new\", status = 304 }", "7:36", "routes[0].redirect.status", "write 301, 302, 303, 307 or 308"),
    ("[[routes]]\npath = \"/\"\nredirect = { }", "7:1", "routes[0].redirect.to", "add `to = "),
    ("[[routes]]\npath = \"/\"\nredirect = { to = \"/new\" }\nrewrite = { add-prefix = \"/x\" }", "8:1", "routes[0].rewrite", "no service answers here"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrewrite = { }\n[services.a]", "8:1", "routes[0].rewrite", "write one of `strip-prefix`"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrewrite = { add-prefix = \"/x\", path = \"/y\" }\n[services.a]", "8:1", "routes[0].rewrite", "write one of `strip-prefix`"),
    ("[[routes]]\npath = \"/api/x\"\nservice = \"a\"\nrewrite = { strip-prefix = \"/ap\" }\n[services.a]", "8:28", "routes[0].rewrite.strip-prefix", "what the route's path \"/api/x\" begins with"),
    ("[[routes]]\npath = \"/api/x\"\nservice = \"a\"\nrewrite = { add-prefix = \"v1\" }\n[services.a]", "8:26", "routes[0].rewrite.add-prefix", "begin the path with `/`"),
    ("[[routes]]\npath = \"/api/x\"\nservice = \"a\"\nrewrite = { replace-prefix = { from = \"/api\", to = \"/v1/\" } }\n[services.a]", "8:52", "routes[0].rewrite.replace-prefix.to", "without parameters and a slash at its end"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrequest-headers = { set = { content-length = \"1\" } }\n[services.a]", "8:46", "routes[0].request-headers.set.content-length", "belongs to the connection"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrequest-headers = { set = { host = \"x\" } }\n[services.a]", "8:36", "routes[0].request-headers.set.host", "use the key `host`"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrequest-headers = { host = \"a/b\" }\n[services.a]", "8:28", "routes[0].request-headers.host", "write a host name"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrequest-headers = { host = \"b\" }\n[services.a]\nupstreams = [\"http://a\"]\nhttp = \"2\"", "8:28", "routes[0].request-headers.host", "over HTTP/2 the host is that of the address"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nresponse-headers = { remove = [\"Connection\"] }\n[services.a]", "8:32", "routes[0].response-headers.remove[0]", "belongs to the connection"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nresponse-headers = { add = { hostel-x = \"1\" } }\n[services.a]", "8:41", "routes[0].response-headers.add.hostel-x", "only the host says"),
    ("[[routes]]\npath = \"/\"\nsplit = [{ service = \"a\" }]\n[services.a]", "7:9", "routes[0].split", "add another, or write `service"),
    ("[[routes]]\npath = \"/\"\nsplit = [{ service = \"a\" }, { service = \"c\" }]\n[services.a]\n[services.b]", "7:41", "routes[0].split[1].service", "did you mean"),
    ("[[routes]]\npath = \"/\"\nsplit = [{ service = \"a\" }, { service = \"a\" }]\n[services.a]", "7:41", "routes[0].split[1].service", "twice"),
    ("[[routes]]\npath = \"/\"\nsplit = [{ service = \"a\", weight = 0 }, { service = \"b\", weight = 0 }]\n[services.a]\n[services.b]", "7:9", "routes[0].split", "give one service a weight"),
    ("[[routes]]\npath = \"/\"\nsplit = [{ service = \"a\" }, { service = \"b\" }]\nsticky = \"cookie\"\n[services.a]\n[services.b]", "8:10", "routes[0].sticky", "write \"cookie:NAME\""),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nsticky = \"address\"\n[services.a]", "8:10", "routes[0].sticky", "among the services of a `split`"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nsplit = [{ service = \"a\" }, { service = \"b\" }]\n[services.a]\n[services.b]", "8:9", "routes[0].split", "keep one of them"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = 1", "7:9", "routes[0].files", "write a string in quotes, or write a table"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = { fallback = \"index.html\" }", "7:1", "routes[0].files.folder", "add `folder = "),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = { folder = \"none\" }", "7:20", "routes[0].files.folder", "there is no such folder"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = { folder = \"site\", error-page = \"404.html\" }", "7:41", "routes[0].files.error-page", "there is no such file"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = { folder = \"site\", index = \"yes\" }", "7:36", "routes[0].files.index", "write true or false"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = { folder = \"site\", cache-control = \"ä\" }", "7:44", "routes[0].files.cache-control", "visible ASCII"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = { folder = \"site\", spa = true }", "7:28", "routes[0].files.spa", "unknown key"),
    // Identity.
    ("[issuers.main]\naudience = [\"shop\"]\n[services.a]", "5:10", "issuers.main.issuer", "add `issuer = \"https://id.example.com\"`"),
    ("[issuers.main]\nissuer = \"https://id.example.com\"\n[services.a]", "5:10", "issuers.main.audience", "add `audience = [\"shop\"]`"),
    ("[issuers.main]\nissuer = \"https://id.example.com\"\naudience = []\n[services.a]", "7:12", "issuers.main.audience", "name whom the tokens must be for"),
    ("[issuers.main]\nissuer = \"http://id.example.com\"\naudience = [\"shop\"]\n[services.a]", "6:10", "issuers.main.issuer", "http is allowed only to this machine itself"),
    ("[issuers.main]\nissuer = \"https://id.example.com?a\"\naudience = [\"shop\"]\n[services.a]", "6:10", "issuers.main.issuer", "take the query out"),
    ("[issuers.main]\nissuer = \"https://id.example.com\"\naudience = [\"shop\"]\njwks = \"/keys\"\n[services.a]", "8:8", "issuers.main.jwks", "write an address"),
    ("[issuers.main]\nissuer = \"https://id.example.com\"\naudience = [\"shop\"]\nleeway = \"1h\"\n[services.a]", "8:10", "issuers.main.leeway", "at most \"10m\""),
    ("[issuers.main]\nissuer = \"https://id.example.com\"\naudience = [\"shop\"]\nalgorithms = [\"none\"]\n[services.a]", "8:15", "issuers.main.algorithms[0]", "the values here are RS256"),
    ("[issuers.main]\nissuer = \"https://id.example.com\"\naudience = [\"shop\"]\nalgorithms = []\n[services.a]", "8:14", "issuers.main.algorithms", "name a signature"),
    ("[issuers.main]\nissuer = \"https://id.example.com\"\naudience = [\"shop\"]\n[issuers.two]\nissuer = \"https://id.example.com\"\naudience = [\"shop\"]\n[services.a]", "9:10", "issuers.two.issuer", "`issuers.main` is the same"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = 1\n[services.a]", "8:8", "routes[0].auth", "write true or false, or write a table: `{ key = value }`"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { scope = [\"a\"] }\n[services.a]", "8:10", "routes[0].auth.scope", "did you mean `scopes`?"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { scopes = [] }\n[services.a]", "8:19", "routes[0].auth.scopes", "name one"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { scopes = [\"a b\"] }\n[services.a]", "8:20", "routes[0].auth.scopes[0]", "write one scope"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { roles = [\"\"] }\n[services.a]", "8:19", "routes[0].auth.roles[0]", "this is empty"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { issuers = [\"main\"] }\n[services.a]", "8:21", "routes[0].auth.issuers[0]", "there are no issuers here"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { ways = [\"token\"] }\n[services.a]", "8:17", "routes[0].auth.ways", "add an issuer of tokens"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { ways = [\"tokn\"] }\n[services.a]", "8:18", "routes[0].auth.ways[0]", "did you mean `token`?"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { ways = [] }\n[services.a]", "8:17", "routes[0].auth.ways", "name a way"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nauth = { claims = { tenant = [] } }\n[services.a]", "8:30", "routes[0].auth.claims.tenant", "name a value"),
    // Caches.
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncache = 1\n[services.a]", "8:9", "routes[0].cache", "write true or false, or write a table"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncache = { size = \"1MiB\" }\n[services.a]", "8:11", "routes[0].cache.size", "the keys here are"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncache = { default-time = \"1\" }\n[services.a]", "8:26", "routes[0].cache.default-time", "write a duration with its unit"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\ncache = { key-headers = [\"a b\"] }\n[services.a]", "8:26", "routes[0].cache.key-headers[0]", "write the name of a header"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = \"site\"\ncache = true", "8:9", "routes[0].cache", "files are read from the disk anyway"),
    ("[gateway.cache]\nsize = \"1KiB\"\n[services.a]", "6:8", "gateway.cache.size", "from \"64KiB\""),
    ("[gateway.cache]\nentry = \"2GiB\"\n[services.a]", "6:9", "gateway.cache.entry", "to \"1GiB\""),
    ("[gateway.cache]\nsize = \"1MiB\"\nentry = \"2MiB\"\n[services.a]", "7:9", "gateway.cache.entry", "let `entry` be at most `size`"),
    // The file as a whole.
    ("", "1:1", "", "add a service as `[services.NAME]`"),
    ("[storage]\npath = \"order.wasm\"\n[services.a]", "6:8", "storage.path", "this is a file"),
];

#[test]
fn each_slip_is_told_once_with_place_and_remedy() {
    let folder = Folder::new();
    for (text, place, key, part) in SLIPS {
        expect(&folder, &format!("{HEAD}{text}\n"), place, key, part);
    }
}

#[test]
fn listeners_need_an_address_each() {
    let folder = Folder::new();
    for (gateway, admin, place, key, part) in [
        ("", "listen = \"127.0.0.1:1\"", "1:2", "gateway.listen", "add `listen = \"127.0.0.1:8080\"`"),
        (
            "listen = \"localhost:1\"",
            "listen = \"[::1]:0\"",
            "2:10",
            "gateway.listen",
            "an IP address and a port",
        ),
        ("listen = \":1\"", "listen = \"[::1]:0\"", "2:10", "gateway.listen", "an IP address and a port"),
        ("listen = \"0.0.0.0:99999\"", "listen = \"[::1]:0\"", "2:10", "gateway.listen", "an IP address"),
        ("listen = 1", "listen = \"[::1]:0\"", "2:10", "gateway.listen", "such as \"127.0.0.1:8080\""),
        ("listen = \"[::1]:1\"", "listen = \"[::1]:1\"", "4:10", "admin.listen", "another port"),
        ("listen = \"0.0.0.0:1\"", "listen = \"127.0.0.1:1\"", "4:10", "admin.listen", "another port"),
        (
            "listen = \"[::1]:1\"",
            "listen = \"[::1]:2\"\n[gateway.tls]\n\
             certificates = [{ certificate = \"shop.pem\", key = \"shop.key\" }]\nredirect = \"[::1]:2\"",
            "7:12",
            "gateway.tls.redirect",
            "another port than `admin.listen`",
        ),
    ] {
        let text = format!("[gateway]\n{gateway}\n[admin]\n{admin}\n[services.a]\n");
        expect(&folder, &text, place, key, part);
    }
    expect(&folder, "[gateway]\nlisten = \"[::1]:0\"\n[services.a]\n", "1:1", "admin.listen", "add `listen");
}

#[test]
fn proxies_are_named_by_their_networks() {
    let folder = Folder::new();
    for (line, place, key, part) in [
        ("proxy-protocol = true", "3:18", "gateway.proxy-protocol", "add `trusted-proxies ="),
        ("proxy-protocol = \"v1\"", "3:18", "gateway.proxy-protocol", "write true or false"),
        (
            "trusted-proxies = [\"10.0.0.1/8\"]",
            "3:20",
            "gateway.trusted-proxies[0]",
            "such as \"10.0.0.0/8\"",
        ),
        ("trusted-proxies = [\"::1\", \"all\"]", "3:27", "gateway.trusted-proxies[1]", "a network such as"),
    ] {
        let text =
            format!("[gateway]\nlisten = \"[::1]:0\"\n{line}\n[admin]\nlisten = \"[::1]:0\"\n[services.a]\n");
        expect(&folder, &text, place, key, part);
    }
}

#[test]
fn routes_differ_by_host_path_and_method() {
    let folder = Folder::new();
    let route = |extra: &str| format!("[[routes]]\npath = \"/x/{{*rest}}\"\nservice = \"a\"\n{extra}\n");
    let text = [
        HEAD,
        &route(""),
        &route("host = \"a.b\""),
        &route("host = \"*.b\""),
        &route("methods = [\"GET\"]"),
        &route("methods = [\"PUT\"]"),
        &route("").replace("{*rest}", "{one}"),
        &route("").replace("/{*rest}", ""),
        &route("").replace("{*rest}", ""),
        "[services.a]\n",
    ];
    assert_eq!(folder.parse(&text.concat()).unwrap().routes.len(), 8);
}

/// Checks that the text has exactly one problem, at this place.
#[track_caller]
fn expect(folder: &Folder, text: &str, place: &str, key: &str, part: &str) {
    let Err(error) = folder.parse(text) else { panic!("{text}\nshould be refused: {part}") };
    let [problem] = error.problems.as_slice() else { panic!("{text}\nhas one slip, not:\n{error}") };
    assert_eq!(format!("{}:{}", problem.line, problem.column), place, "{text}\n{error}");
    assert_eq!(problem.key, key, "{text}\n{error}");
    assert!(error.to_string().contains(part), "{text}\nshould be told {part:?}, not:\n{error}");
}
