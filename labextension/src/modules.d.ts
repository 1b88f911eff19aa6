// What the bundler turns into a value.
declare module '*.svg' {
  const source: string;
  export default source;
}

declare module '*/package.json' {
  export const version: string;
}
