import { ThreadWorker } from "poolifier"

export default new ThreadWorker((payload) => payload)
