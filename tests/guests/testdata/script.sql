create table item (id integer primary key, name text, price real, kind integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 12000)
insert into item select i, printf('item-%05d', i * 7919 % 10007), i * 0.37, i % 23 from n;
create index by_name on item (name);
create table kind (id integer primary key, label text);
insert into kind select distinct kind, 'kind ' || kind from item;
select label, count(*), round(sum(price), 2), min(name), max(name) from item join kind on kind.id = item.kind group by label order by 3 desc limit 5;
select count(*) from item a join item b on b.name = a.name and b.id < a.id;
select group_concat(name) from (select name from item where name like '%77%' order by price limit 6);
update item set price = price * 1.1 where kind in (select id from kind where label like '%1%');
select round(sum(price), 2), length(group_concat(name)) from item;
