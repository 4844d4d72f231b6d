// Opens the page in a headless browser, and tells as JSON what it does there:
//
//     node check.mjs ADDRESS read IMAGE …     the text of each image, greedily and with the language model, and the time
//     node check.mjs ADDRESS use [PICTURE]    with the keyboard alone, light and dark, on a phone; perhaps a picture of it
//
// CHROMIUM names the browser, /usr/bin/chromium unless set. Every request is told, too.

import { chromium } from 'playwright-core';

const [address, task, ...rest] = process.argv.slice(2);
const QUIET = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', ...QUIET] });
const requests = [], errors = [];

async function open(options = {}) {
  const context = await browser.newContext(options);
  context.on('request', (request) => requests.push(request.url()));
  const page = await context.newPage();
  page.setDefaultTimeout(300_000);
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(address + (process.env.LINE ? `?line=${process.env.LINE}` : ''));
  await state(page, 'ready');
  return page;
}

/** Waits for a state; what went wrong instead is an error. */
async function state(page, name) {
  await page.locator(`#status[data-state=${name}], #status[data-state=failed]`).waitFor();
  const status = page.locator('#status');
  if ((await status.getAttribute('data-state')) === 'failed') throw new Error(await status.textContent());
}

/** What stands on the page of each image. */
const cards = (page) => page.locator('article').evaluateAll((all) => all.map((card) => ({
  name: card.querySelector('h2').textContent,
  lines: [...card.querySelectorAll('li')].map((line) => line.textContent),
  marks: card.querySelectorAll('mark').length,
  polygons: [...card.querySelectorAll('polygon')].map((polygon) => polygon.getAttribute('points')),
  ms: Number(card.dataset.ms),
})));

async function reading(page, language, begin) {
  await page.locator('#language').setChecked(language);
  await page.locator('#status').evaluate((status) => (status.dataset.state = 'ready'));
  await begin();
  await state(page, 'done');
  return cards(page);
}

async function read(images) {
  const page = await open();
  await page.context().setOffline(true); // what is read from here on is read without a network
  const files = () => page.locator('#files').setInputFiles(images);
  return { greedy: await reading(page, false, files), language: await reading(page, true, files) };
}

/** The least contrast of a text with what is behind it, by WCAG 2.2. */
const contrast = (page) => page.evaluate(() => {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return (parts(colour)[3] ?? 1) ? colour : element.parentElement ? behind(element.parentElement) : 'rgb(255, 255, 255)';
  };
  const texts = [...document.querySelectorAll('body *')].filter((element) => element.checkVisibility() && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return Math.min(...texts.map((element) => {
    const [a, b] = [getComputedStyle(element).color, behind(element)].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
});

async function use(picture) {
  const keyboard = await open();
  const stops = [];
  for (let k = 0; k < 8; k++) {
    await keyboard.keyboard.press('Tab');
    stops.push(await keyboard.evaluate(() => document.activeElement.id || document.activeElement.dataset.sample || document.activeElement.name));
    if (stops.at(-1) === 'sample/line.png') break;
  }
  await keyboard.keyboard.press('Enter');
  await state(keyboard, 'done');
  const told = { stops, keyboard: await cards(keyboard) };
  const page = await open({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  told.phone = await reading(page, true, () => page.locator('[data-sample="sample/page.png"]').tap());
  told.wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    told[colorScheme] = { background: await page.evaluate(() => getComputedStyle(document.body).backgroundColor), contrast: await contrast(page) };
    if (picture) await page.screenshot({ path: picture.replace('.png', `-phone-${colorScheme}.png`), fullPage: true });
  }
  if (picture) {
    const wide = await open({ viewport: { width: 1100, height: 900 } });
    await reading(wide, true, () => wide.locator('[data-sample="sample/page.png"]').click());
    await wide.screenshot({ path: picture });
  }
  return told;
}

/** The rule of the page that stops it when it asks another server for something. */
async function stopped() {
  const page = await open();
  return page.evaluate(() => new Promise((told) => {
    document.addEventListener('securitypolicyviolation', (event) => told(event.effectiveDirective));
    fetch('http://127.0.0.1:1/').catch(() => {});
    setTimeout(() => told('none'), 5000);
  }));
}

const told = task === 'read' ? await read(rest) : await use(rest[0]);
const seen = { requests: [...requests], errors: [...errors] };
console.log(JSON.stringify({ ...told, ...seen, stopped: await stopped() }));
await browser.close();
