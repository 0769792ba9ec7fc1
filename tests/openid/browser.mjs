// The little of a browser that the pages need: cookies, redirects that are looked at, forms.

/** A browser with an empty jar, at an address of its own where the gateway trusts this machine as a proxy. */
export class Browser {
  #jar = new Map();
  #address = `198.51.100.${Math.floor(Math.random() * 254) + 1}`;

  async get(url, headers = {}) {
    return this.#send(url, { headers });
  }

  /** Sends a form as the page at `origin` would. */
  async post(url, fields, origin = new URL(url).origin) {
    const headers = origin ? { origin } : {};
    return this.#send(url, { method: 'POST', headers, body: new URLSearchParams(fields) });
  }

  /** Fills in the form of a page and sends it. */
  async submit(page, fields, origin) {
    return this.post(page.form.action, { ...page.form.hidden, ...fields }, origin);
  }

  /** Sends nothing but headers. */
  async request(method, url, headers) {
    return this.#send(url, { method, headers });
  }

  /** Takes a cookie, as written in Set-Cookie. */
  keep(line) {
    this.#keep(line);
  }

  cookie(name) {
    return this.#jar.get(name)?.value;
  }

  /** The names of all cookies. */
  get names() {
    return [...this.#jar.keys()];
  }

  /** What the last Set-Cookie of this name said. */
  attributes(name) {
    return this.#jar.get(name)?.attributes;
  }

  async #send(url, options) {
    const { pathname } = new URL(url);
    const sent = [...this.#jar].filter(([, { path }]) => pathname.startsWith(path));
    const cookie = sent.map(([name, { value }]) => `${name}=${value}`).join('; ');
    const headers = { ...options.headers, 'x-forwarded-for': this.#address, ...(cookie && { cookie }) };
    const started = performance.now();
    const response = await fetch(url, { ...options, headers, redirect: 'manual' });
    const text = await response.text();
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    const location = response.headers.get('location');
    return {
      status: response.status,
      headers: response.headers,
      text,
      form: form(text, url),
      links: [...text.matchAll(/<a href="([^"]*)"/g)].map(([, href]) => new URL(unescape(href), url).href),
      location: location && new URL(location, url),
      time: performance.now() - started,
    };
  }

  #keep(line) {
    const [pair, ...attributes] = line.split(';').map((part) => part.trim());
    const [name, value] = pair.split(/=(.*)/s);
    if (attributes.includes('Max-Age=0')) this.#jar.delete(name);
    else {
      const path = attributes.find((one) => one.startsWith('Path='))?.slice('Path='.length) ?? '/';
      this.#jar.set(name, { value, attributes, path });
    }
  }
}

function form(text, url) {
  const tag = [...text.matchAll(/<form\b[^>]*>/g)].map(([tag]) => tag).find((tag) => attribute(tag, 'method') === 'post');
  if (tag === undefined) return undefined;
  const inputs = [...text.matchAll(/<input\b[^>]*>/g)].map(([input]) => input);
  const hidden = inputs.filter((input) => attribute(input, 'type') === 'hidden');
  return {
    action: new URL(attribute(tag, 'action'), url).href,
    hidden: Object.fromEntries(hidden.map((input) => [attribute(input, 'name'), attribute(input, 'value') ?? ''])),
  };
}

function attribute(tag, name) {
  const value = tag.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1];
  return value && unescape(value);
}

function unescape(text) {
  return text.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}
