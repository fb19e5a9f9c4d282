(* Exceptions, stack overflow, collections of garbage, files, and what becomes of the program's end. *)
exception Found of int

type tree = Leaf | Node of tree * int * tree

let rec insert x = function
  | Leaf -> Node (Leaf, x, Leaf)
  | Node (l, y, r) as t -> if x < y then Node (insert x l, y, r) else if x > y then Node (l, y, insert x r) else t

let rec size = function Leaf -> 0 | Node (l, _, r) -> size l + 1 + size r
let rec deep n = if n = 0 then raise (Found 5) else 1 + deep (n - 1)
let rec forever n = 1 + forever (n + 1)

let () =
  let t = ref Leaf in
  for i = 0 to 5000 do t := insert (i * 7919 mod 3001) !t done;
  Printf.printf "%d\n" (size !t);
  (try ignore (deep 10000) with Found n -> Printf.printf "found %d\n" n);
  (try ignore (1 / Sys.opaque_identity 0) with Division_by_zero -> print_endline "division");
  (try ignore [| 1 |].(Sys.opaque_identity 5) with Invalid_argument s -> print_endline s);
  (try ignore (forever 0) with Stack_overflow -> print_endline "overflow");
  for _ = 1 to 20 do ignore (Array.init 20000 float) done;
  Gc.compact ();
  let name = Filename.temp_file "languages" ".txt" in
  let out = open_out name in
  for i = 1 to 100 do Printf.fprintf out "%d\n" i done;
  close_out out;
  let lines = open_in name and sum = ref 0 in
  (try while true do sum := !sum + int_of_string (input_line lines) done with End_of_file -> ());
  Sys.remove name;
  Printf.printf "%d %.15g %s\n" !sum (sqrt 2.) (Digest.to_hex (Digest.string "x"));
  at_exit (fun () -> print_endline "at exit");
  exit 4
