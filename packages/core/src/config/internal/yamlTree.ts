/**
 * Reads YAML into a small tree of mappings, lists and scalars in which each node knows its offset.
 * It owns everything that is YAML: syntax errors, the subset that nerve accepts, and the limits that
 * keep a hostile file from costing more than it should.
 *
 * The subset: one document of YAML 1.2. Refused, each with its place: aliases and merge keys (an alias
 * bomb is a few lines long; writing a value twice is clearer anyway), tags, keys that are no plain
 * text, duplicate keys, directives other than `%YAML 1.2`, further documents. Anchors do nothing.
 */
import { type CST, Composer, isAlias, isMap, isScalar, isSeq, Parser, type ParsedNode, type YAMLError } from "yaml"
import type { KeyPath } from "../ConfigProblem.ts"

/** Largest file, in UTF-16 code units. All is linear; the worst of this size takes `yaml` some seconds. */
export const maxLength = 1_000_000

/** Deepest nesting. The configuration needs five levels; `yaml` overflows the stack at thousands. */
export const maxDepth = 64

/** How the author wrote a scalar, as far as it matters: `text` is quoted, or looks like nothing else. */
export type ScalarKind = "text" | "number" | "boolean" | "null"

export interface ScalarNode {
  readonly _tag: "Scalar"
  readonly offset: number
  readonly kind: ScalarKind
  /** The text as written, without quotes: `1e3` stays `1e3`. */
  readonly text: string
  /** The number, when `kind` is `number`. */
  readonly number: number
}

export interface Entry {
  readonly keyOffset: number
  readonly value: Tree
}

export interface MappingNode {
  readonly _tag: "Mapping"
  readonly offset: number
  /** A Map, so that `__proto__` is a key like any other. */
  readonly entries: ReadonlyMap<string, Entry>
}

export interface ListNode {
  readonly _tag: "List"
  readonly offset: number
  readonly items: ReadonlyArray<Tree>
}

/** `Refused`: there was something, and its problem has been reported. */
export interface RefusedNode {
  readonly _tag: "Refused"
  readonly offset: number
}

export type Tree = ScalarNode | MappingNode | ListNode | RefusedNode

/** `null`, `~`, or nothing at all. */
export const isNull = (node: Tree): boolean => node._tag === "Scalar" && node.kind === "null"

/** Nothing was written. Such a value has no place of its own. */
export const isBlank = (node: Tree): boolean => isNull(node) && node._tag === "Scalar" && node.text === ""

const blank = (offset: number): ScalarNode => ({
  _tag: "Scalar",
  offset,
  kind: "null",
  text: "",
  number: Number.NaN
})

/** A problem before it has line and column. */
export interface Finding {
  readonly offset: number
  readonly path: KeyPath
  readonly message: string
  readonly expected: string
  readonly suggestion: string | null
  /** The file is no YAML at this place: what else is wrong on this line may follow from it. */
  readonly isSyntax?: boolean
  /** Something is missing. In a file that is no YAML nobody can tell. */
  readonly isAbsence?: boolean
}

/** The tree, or null when the file was refused as a whole. What was found is reported either way. */
export const read = (text: string, report: (finding: Finding) => void): Tree | null => {
  if (text.length > maxLength) {
    report({
      ...atTop,
      message: `the file is too large (${text.length} characters)`,
      expected: `at most ${maxLength} characters`
    })
    return null
  }
  const tokens = [...new Parser().parse(text)]
  const deep = tooDeep(tokens)
  if (deep !== undefined) {
    report({ ...atTop, offset: deep, message: "nested too deeply", expected: `at most ${maxDepth} levels` })
    return null
  }
  const contents = compose(firstDocument(tokens, report), text, report)
  return contents === null ? blank(0) : toTree(contents, tokens, report)
}

const atTop = { offset: 0, path: [], suggestion: null } as const

/** Offset of the first collection below the deepest level. */
const tooDeep = (tokens: ReadonlyArray<CST.Token>): number | undefined => {
  let found: number | undefined
  walk(tokens, (token, depth) => {
    if (depth <= maxDepth || !("items" in token)) return true
    found = Math.min(found ?? token.offset, token.offset)
    return false
  })
  return found
}

/**
 * Calls `visit` with each value's token and its depth, from 1, and with the marks (indicators, tags,
 * anchors) around it; no further down where it returns false. Iterative: it is what guards recursion.
 */
const walk = (
  tokens: ReadonlyArray<CST.Token>,
  visit: (token: CST.Token, depth: number) => boolean,
  mark: (token: CST.SourceToken) => void = () => {}
): void => {
  const pending: Array<readonly [token: CST.Token, depth: number]> = tokens.map((token) => [token, 1])
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [token, depth] = next
    if (token.type === "document") {
      token.start.forEach(mark)
      if (token.value !== undefined) pending.push([token.value, depth])
    } else if (visit(token, depth) && "items" in token) {
      for (const { key, sep, start, value } of token.items) {
        start.forEach(mark)
        sep?.forEach(mark)
        if (key) pending.push([key, depth + 1])
        if (value) pending.push([value, depth + 1])
      }
    }
  }
}

/** The tokens up to a second document, which is a problem; so are directives that change the rules. */
const firstDocument = (
  tokens: ReadonlyArray<CST.Token>,
  report: (finding: Finding) => void
): ReadonlyArray<CST.Token> => {
  for (const token of tokens) {
    if (token.type !== "directive" || /^%YAML[ \t]+1\.2\s*$/.test(token.source)) continue
    report({
      ...atTop,
      offset: token.offset,
      message: "YAML directives are not supported",
      expected: "the line to be removed"
    })
  }
  const first = tokens.findIndex(({ type }) => type === "document")
  const second = tokens.findIndex(({ type }, index) => index > first && type === "document")
  if (first === -1 || second === -1) return tokens
  const extra = tokens[second]
  const start = extra?.type === "document" ? extra.start.find(({ type }) => type === "doc-start") : undefined
  report({
    ...atTop,
    offset: start?.offset ?? extra?.offset ?? 0,
    message: "a second YAML document starts here",
    expected: "one document in the file"
  })
  return tokens.slice(0, second)
}

const compose = (
  tokens: ReadonlyArray<CST.Token>,
  text: string,
  report: (finding: Finding) => void
): ParsedNode | null => {
  const composer = new Composer({
    version: "1.2",
    merge: false,
    resolveKnownTags: false,
    // Quadratic in `yaml`; `toTree` looks for duplicates itself.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "silent"
  })
  const [document] = composer.compose(
    tokens.filter(({ type }) => type !== "directive"),
    true,
    text.length
  )
  if (document === undefined) return null
  let last: number | undefined
  for (const error of document.errors) {
    const offset = placeOf(error, tokens, text)
    // `yaml` often has several things to say about one line: the first is the cause.
    if (last === undefined || text.slice(last, offset).includes("\n")) report(syntaxFinding(error, offset))
    last = error.pos[0]
  }
  return document.contents
}

/** Where a person would look for the mistake: `yaml` points to where it could not go on. */
const placeOf = ({ message, pos: [offset] }: YAMLError, tokens: ReadonlyArray<CST.Token>, text: string): number => {
  // To the end of the file, not to the quote that was opened.
  if (message.startsWith("Missing closing")) return openedQuote(offset, tokens) ?? offset
  if (!message.startsWith("All mapping items")) return offset
  // To the end of the value before, not to the key that is out of line.
  const gap = /(?:\s|#.*)*/y
  gap.lastIndex = offset
  return offset + (gap.exec(text)?.[0].length ?? 0)
}

const openedQuote = (end: number, tokens: ReadonlyArray<CST.Token>): number | undefined => {
  let found: number | undefined
  walk(tokens, (token) => {
    const isQuoted = token.type === "single-quoted-scalar" || token.type === "double-quoted-scalar"
    if (isQuoted && token.offset + token.source.length === end) found = token.offset
    return true
  })
  return found
}

/** The usual mistakes in words for people who do not know YAML's grammar; otherwise what `yaml` says. */
const syntaxFinding = ({ code, message }: YAMLError, offset: number): Finding => {
  const explained = explanations.find((entry) => entry.code === code && entry.pattern.test(message))
  return {
    offset,
    path: [],
    message: explained?.message ?? `not valid YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`,
    expected: explained?.expected ?? "valid YAML",
    suggestion: null,
    isSyntax: true
  }
}

const explain = (code: YAMLError["code"], pattern: RegExp, message: string, expected: string) => ({
  code,
  pattern,
  message,
  expected
})

const noColon = "a key without a colon and a space after it"
const keyAndValue = '"key: value"'

const explanations = [
  explain("TAB_AS_INDENT", /./, "a tab in the indentation", "spaces"),
  explain("MISSING_CHAR", /^Implicit map keys/, noColon, keyAndValue),
  explain("MISSING_CHAR", /^Missing closing/, "a quote that is never closed", "a closing quote"),
  // Without its colon, a line is read as the first part of the next line's key.
  explain("MULTILINE_IMPLICIT_KEY", /./, noColon, keyAndValue),
  explain(
    "BLOCK_AS_IMPLICIT_KEY",
    /^Nested mappings/,
    "a second key within a value",
    "one key per line, one level deeper than the key it belongs to, or the value in quotes"
  ),
  explain(
    "BAD_INDENT",
    /^All mapping items/,
    "the indentation fits no level above",
    "the keys of one mapping in the same column"
  ),
  explain("BAD_INDENT", /^Flow seq/, "a list in brackets that is not closed above here", "a closing ]"),
  explain("BAD_INDENT", /^Flow map/, "a mapping in braces that is not closed above here", "a closing }"),
  explain("UNEXPECTED_TOKEN", /^Unexpected flow-\w+-end/, "a closing bracket that was never opened", "none"),
  // As in `cron: */5 * * * *`.
  explain("BAD_ALIAS", /^Alias cannot be an empty/, "a value that starts with *", "the value in quotes"),
  explain("UNEXPECTED_TOKEN", /^Unexpected alias at node end/, "a * after the value", "the whole value in quotes"),
  explain("UNEXPECTED_TOKEN", /at node end/, "something after the end of a value", "a new line before it"),
  explain("BAD_SCALAR_START", /./, "a value that starts with a reserved character", "the value in quotes")
]

/** Recursive: `tooDeep` has bounded the depth. */
const toTree = (contents: ParsedNode, tokens: ReadonlyArray<CST.Token>, report: (finding: Finding) => void): Tree => {
  let tagOffsets: ReadonlyArray<number> | undefined
  const tagOffset = (nodeOffset: number): number => {
    tagOffsets ??= offsetsOfTags(tokens)
    return lastUpTo(tagOffsets, nodeOffset) ?? nodeOffset
  }

  const visit = (node: ParsedNode, path: KeyPath): Tree => {
    const offset = node.range[0]
    if (isAlias(node)) {
      return refuse(offset, path, "aliases are not supported", "the value itself, written out")
    }
    if (node.tag !== undefined) {
      return refuse(tagOffset(offset), path, "tags are not supported", "the value without a tag")
    }
    if (isMap(node)) return { _tag: "Mapping", offset, entries: entriesOf(node.items, path) }
    if (isSeq(node)) return { _tag: "List", offset, items: node.items.map((item, i) => visit(item, [...path, i])) }
    return {
      _tag: "Scalar",
      offset,
      kind: kindOf(node.value),
      text: node.source,
      number: typeof node.value === "number" ? node.value : Number.NaN
    }
  }

  const entriesOf = (
    items: ReadonlyArray<{ readonly key: ParsedNode; readonly value: ParsedNode | null }>,
    path: KeyPath
  ): ReadonlyMap<string, Entry> => {
    const entries = new Map<string, Entry>()
    for (const { key, value } of items) {
      const keyOffset = key.range[0]
      if (!isScalar(key) || key.tag !== undefined) {
        refuse(keyOffset, path, "a key that is not plain text", "a word, a colon and a value")
        continue
      }
      const name = key.source ?? ""
      const at = [...path, name]
      if (name === "<<" && key.type === "PLAIN") {
        refuse(keyOffset, at, "merge keys are not supported", "the keys themselves, written out")
      } else if (entries.has(name)) {
        refuse(keyOffset, at, "this key is there twice", "each key once")
      } else {
        entries.set(name, { keyOffset, value: value === null ? blank(key.range[1]) : visit(value, at) })
      }
    }
    return entries
  }

  const refuse = (offset: number, path: KeyPath, message: string, expected: string): RefusedNode => {
    report({ offset, path, message, expected, suggestion: null })
    return { _tag: "Refused", offset }
  }

  return visit(contents, [])
}

const kindOf = (value: unknown): ScalarKind => {
  switch (typeof value) {
    case "number":
      return "number"
    case "boolean":
      return "boolean"
    case "string":
      return "text"
    default:
      return "null"
  }
}

/** In order of appearance. `yaml` keeps the places of tags only in its tokens. */
const offsetsOfTags = (tokens: ReadonlyArray<CST.Token>): ReadonlyArray<number> => {
  const offsets: Array<number> = []
  walk(
    tokens,
    () => true,
    ({ offset, type }) => {
      if (type === "tag") offsets.push(offset)
    }
  )
  return offsets.sort((left, right) => left - right)
}

/** The last of ascending numbers that is not above the bound, by bisection. */
const lastUpTo = (ascending: ReadonlyArray<number>, bound: number): number | undefined => {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] ?? bound) <= bound) low = middle + 1
    else high = middle
  }
  return ascending[low - 1]
}
