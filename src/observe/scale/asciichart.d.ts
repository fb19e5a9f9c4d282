/** What is used of asciichart, which brings no types. */
declare module 'asciichart' {
  interface PlotConfig {
    min?: number;
    max?: number;
    height?: number;
    offset?: number;
    format?: (value: number, row: number) => string;
    colors?: readonly (string | undefined)[];
  }
  const asciichart: {
    plot(series: readonly number[] | readonly (readonly number[])[], config?: PlotConfig): string;
    readonly cyan: string;
    readonly darkgray: string;
  };
  export default asciichart;
}
