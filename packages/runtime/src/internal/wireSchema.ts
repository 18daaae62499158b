/**
 * The JSON form of a Schema, for values that cross a line: what `Schema.toCodecJson` gives, without the work that
 * a line makes needless. A place that takes any JSON (`Schema.Unknown`, `Schema.Json`) is looked through once when it
 * is written, and not when it is read, where `JSON.parse` has made it.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaParser from "effect/SchemaParser"

const isJson = SchemaParser.is(Schema.Json)

/** Deeper than this the quick look gives up: what is left is a cycle, or for the thorough one to judge. */
const quickDepth = 256

/** A text, a number that JSON has a form for, a boolean, or null. Asked in this way V8 needs no call for it. */
const isLeaf = (value: unknown): boolean =>
  typeof value === "string" ||
  typeof value === "boolean" ||
  value === null ||
  (typeof value === "number" && Number.isFinite(value))

/** Whether a value is surely JSON: plain objects, lists and leaves. A sixth of what the thorough look takes. */
const isPlainJson = (value: unknown, depth: number): boolean => {
  if (isLeaf(value)) return true
  if (typeof value !== "object" || value === null || depth === quickDepth) return false
  // Leaves are most of what there is: none of them costs a call.
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i]
      if (!isLeaf(item) && !isPlainJson(item, depth + 1)) return false
    }
    return true
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  for (const key in value) {
    const item: unknown = (value as Record<string, unknown>)[key]
    if (!isLeaf(item) && !isPlainJson(item, depth + 1)) return false
  }
  return true
}

/** Any JSON, to be written. */
const written = Schema.Any.check(
  Schema.makeFilter((value: unknown) => isPlainJson(value, 0) || isJson(value), { expected: "JSON value" })
).ast

/** Any JSON, as it was read. */
const read = SchemaAST.any

/** By the names that `Schema.Json` and `Schema.MutableJson` have. */
const jsonIds: ReadonlySet<unknown> = new Set(["effect/schema/Json", "effect/schema/MutableJson"])

const isJsonDeclaration = ({ annotations }: SchemaAST.Declaration): boolean => {
  const representation: unknown = annotations?.representation
  return (
    typeof representation === "object" &&
    representation !== null &&
    "id" in representation &&
    jsonIds.has(representation.id)
  )
}

/** Whether any JSON may stand here, and nothing else is asked of it. */
const isAnyJson = (ast: SchemaAST.AST): boolean =>
  ast.checks === undefined && (SchemaAST.isUnknown(ast) || (SchemaAST.isDeclaration(ast) && isJsonDeclaration(ast)))

/** Puts `any` wherever any JSON may stand, as far as that can be seen: not within classes and recursive schemas. */
const replaceAnyJson = (ast: SchemaAST.AST, any: SchemaAST.Any): SchemaAST.AST => {
  if (ast.encoding !== undefined) return ast
  if (isAnyJson(ast)) return new SchemaAST.Any(any.annotations, any.checks, undefined, ast.context)
  const each = <A extends SchemaAST.AST>(children: ReadonlyArray<A>) => children.map((one) => replaceAnyJson(one, any))
  switch (ast._tag) {
    case "Arrays": {
      const { annotations, checks, context, encodingChecks, isMutable } = ast
      const [elements, rest] = [each(ast.elements), each(ast.rest)]
      return isSame(ast.elements, elements) && isSame(ast.rest, rest)
        ? ast
        : new SchemaAST.Arrays(isMutable, elements, rest, annotations, checks, undefined, context, encodingChecks)
    }
    case "Objects": {
      const { annotations, checks, context, encodingChecks, indexSignatures, propertySignatures } = ast
      const properties = each(propertySignatures.map(({ type }) => type))
      const indexed = each(indexSignatures.map(({ type }) => type))
      const same =
        propertySignatures.every(({ type }, i) => type === properties[i]) &&
        indexSignatures.every(({ type }, i) => type === indexed[i])
      return same
        ? ast
        : new SchemaAST.Objects(
            propertySignatures.map(({ name, type }, i) => new SchemaAST.PropertySignature(name, properties[i] ?? type)),
            indexSignatures.map(
              ({ parameter, type }, i) => new SchemaAST.IndexSignature(parameter, indexed[i] ?? type)
            ),
            annotations,
            checks,
            undefined,
            context,
            encodingChecks
          )
    }
    case "Union": {
      const { annotations, checks, context, encodingChecks, options } = ast
      const types = each(ast.types)
      return isSame(ast.types, types)
        ? ast
        : new SchemaAST.Union(types, options, annotations, checks, undefined, context, encodingChecks)
    }
    default:
      return ast
  }
}

const isSame = (left: ReadonlyArray<unknown>, right: ReadonlyArray<unknown>): boolean =>
  left.every((one, i) => one === right[i])

const codec = (schema: Schema.Top, any: SchemaAST.Any) =>
  // The types hide a schema's services; on the wire there are none, and one that needs them dies when it is used.
  Schema.toCodecJson(Schema.make<Schema.Codec<unknown, unknown>>(replaceAnyJson(schema.ast, any)))

/** A schema whose decoding writes a value as JSON. */
export const writing = (schema: Schema.Top): Schema.Codec<unknown, unknown> => Schema.flip(codec(schema, written))

/** A schema whose decoding reads a value from JSON. */
export const reading = (schema: Schema.Top): Schema.Codec<unknown, unknown> => codec(schema, read)
