/** A rule of the design, broken on purpose: to see that the simulator catches it. */
export interface PlantedFault {
  /** In lower case with hyphens. */
  readonly name: string
  /** The rule that it breaks, in words. */
  readonly rule: string
  /** What is written instead of what; each text must stand in its file exactly once. Paths from `packages/`. */
  readonly changes: readonly { readonly file: string; readonly from: string; readonly to: string }[]
}
