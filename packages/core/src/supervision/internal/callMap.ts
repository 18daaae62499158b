/**
 * A persistent map from the numbers of calls to what is known of them: a tree of eight branches at each node, by the
 * lowest bits of the number first. Numbers count up, so that those in flight at a time are spread evenly, and 64 of
 * them lie two steps deep. A call costs less than a tenth of a microsecond to put in and to take out, however many
 * there are. A pool keeps the running calls of a member in one.
 */

/** What is kept knows the number of its call. It is no array. */
interface Numbered {
  readonly call: number
}

type Branch<A> = ReadonlyArray<Node<A> | undefined>

type Node<A> = A | Branch<A>

export interface CallMap<A extends Numbered> {
  readonly size: number
  readonly root: Node<A> | undefined
}

export const empty: CallMap<never> = { size: 0, root: undefined }

const isBranch = <A>(node: Node<A>): node is Branch<A> => Array.isArray(node)

/** Which branch at this depth. Bit operations see 32 bits of a number; what is above is divided. */
const branchOf = (call: number, depth: number): number =>
  depth < 10 ? (call >>> (3 * depth)) & 7 : Math.floor(call / 8 ** depth) % 8

export const get = <A extends Numbered>({ root }: CallMap<A>, call: number): A | undefined => {
  let node = root
  for (let depth = 0; node !== undefined && isBranch(node); depth++) node = node[branchOf(call, depth)]
  return node?.call === call ? node : undefined
}

const blank: Branch<never> = Array.from({ length: 8 }, () => undefined)

/** Spelt out: it is most of what a call costs, and a copy by `slice` costs twice as much. */
const withNode = <A>(branch: Branch<A>, at: number, node: Node<A> | undefined): Branch<A> => {
  const copy = [branch[0], branch[1], branch[2], branch[3], branch[4], branch[5], branch[6], branch[7]]
  copy[at] = node
  return copy
}

const put = <A extends Numbered>(branch: Branch<A>, value: A, depth: number): Branch<A> => {
  const at = branchOf(value.call, depth)
  return withNode(branch, at, putAt(branch[at], value, depth + 1))
}

const putAt = <A extends Numbered>(node: Node<A> | undefined, value: A, depth: number): Node<A> => {
  if (node === undefined) return value
  if (isBranch(node)) return put(node, value, depth)
  return node.call === value.call ? value : put(withNode(blank, branchOf(node.call, depth), node), value, depth)
}

const isEmpty = <A>(branch: Branch<A>): boolean => {
  for (let at = 0; at < branch.length; at++) if (branch[at] !== undefined) return false
  return true
}

/** A branch stays one until it is empty: it will soon be filled again. */
const take = <A extends Numbered>(branch: Branch<A>, call: number, depth: number): Branch<A> | undefined => {
  const at = branchOf(call, depth)
  const node = branch[at]
  if (node === undefined) return branch
  const rest = isBranch(node) ? take(node, call, depth + 1) : node.call === call ? undefined : node
  if (rest === node) return branch
  const copy = withNode(branch, at, rest)
  return rest === undefined && isEmpty(copy) ? undefined : copy
}

/** Puts a call that is not there yet. */
export const add = <A extends Numbered>(map: CallMap<A>, value: A): CallMap<A> => ({
  size: map.size + 1,
  root: putAt(map.root, value, 0)
})

/** Puts something else for a call that is there; nothing changes for one that is not. */
export const replace = <A extends Numbered>(map: CallMap<A>, value: A): CallMap<A> =>
  get(map, value.call) === undefined ? map : { size: map.size, root: putAt(map.root, value, 0) }

/** The same map where the call is not there. */
export const remove = <A extends Numbered>(map: CallMap<A>, call: number): CallMap<A> => {
  const { root, size } = map
  if (root === undefined) return map
  const rest = isBranch(root) ? take(root, call, 0) : root.call === call ? undefined : root
  return rest === root ? map : { size: size - 1, root: rest }
}

const collect = <A extends Numbered>(node: Node<A> | undefined, values: Array<A>): void => {
  if (node === undefined) return
  if (!isBranch(node)) return void values.push(node)
  for (const child of node) collect(child, values)
}

/** By number: the call that was made first is first. */
export const values = <A extends Numbered>({ root }: CallMap<A>): ReadonlyArray<A> => {
  const found: Array<A> = []
  collect(root, found)
  return found.toSorted((left, right) => left.call - right.call)
}

/** Changes each, but not its number; those that stay what they are cost nothing. */
export const map = <A extends Numbered>(self: CallMap<A>, f: (value: A) => A): CallMap<A> => {
  let result = self
  for (const value of values(self)) {
    const next = f(value)
    if (next !== value) result = replace(result, next)
  }
  return result
}
