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
    ("[services.a]\nauth = { }", "6:1", "services.a.auth", "the keys here are buckets, build"),
    ("[service.a]", "5:2", "service", "did you mean `services`?"),
    ("[services.a]\nlimits = { ram = \"1MiB\" }", "6:12", "services.a.limits.ram", "memory"),
    ("[services.a]\n\"a b\" = 1", "6:1", "services.a.\"a b\"", "unknown key"),
    ("[[routes]]\npath = \"/\"\nservice = \"a\"\nrate-limit = { }\n[services.a]", "8:1", "routes[0].rate-limit", "the keys here are"),
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
    ("[services.a]\nsecrets = { k = \"hunter2\" }", "6:17", "services.a.secrets.k", "\"env:NAME\" or \"file:PATH\""),
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
    ] {
        let text = format!("[gateway]\n{gateway}\n[admin]\n{admin}\n[services.a]\n");
        expect(&folder, &text, place, key, part);
    }
    expect(&folder, "[gateway]\nlisten = \"[::1]:0\"\n[services.a]\n", "1:1", "admin.listen", "add `listen");
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
